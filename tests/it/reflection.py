"""A client that knows nothing of vivavoce but its address: the protocol comes from the server's reflection.

Lists the services, opens a hearing, streams a WAV file, closes, reads the record and prints what it found as JSON.
"""

import json
import sys
import wave

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, path, language = sys.argv[1:]
channel = grpc.insecure_channel(address)
database = ProtoReflectionDescriptorDatabase(channel)
pool = DescriptorPool(database)
service = pool.FindServiceByName("vivavoce.v1.Transcription")


def message(name):
    return GetMessageClass(pool.FindMessageTypeByName("vivavoce.v1." + name))


def call(name, request, stream=False):
    method = service.methods_by_name[name]
    full = "/vivavoce.v1.Transcription/" + name
    make = channel.stream_stream if stream else channel.unary_unary
    answer = GetMessageClass(method.output_type)
    return make(full, type(request[0] if stream else request).SerializeToString, answer.FromString)(
        iter(request) if stream else request
    )


with wave.open(path) as file:
    rate, samples = file.getframerate(), file.readframes(file.getnframes())

opening = message("OpenHearingRequest")(reference="by reflection")
seat = opening.channels.add(number=1, label="judge", languages=[language])
seat.format.sample_rate_hz = rate
seat.format.encoding = pool.FindEnumTypeByName("vivavoce.v1.Encoding").values_by_name["ENCODING_PCM_S16LE"].number
hearing = call("OpenHearing", opening).hearing_id

request = message("StreamRequest")
requests = [request(start={"hearing_id": hearing})]
step = rate // 10 * 2
requests += [request(audio={"channel": 1, "samples": samples[i : i + step]}) for i in range(0, len(samples), step)]
answers = list(call("Stream", requests, stream=True))
call("CloseHearing", message("CloseHearingRequest")(hearing_id=hearing))
record = call("ReadRecord", message("ReadRecordRequest")(hearing_id=hearing))

try:
    call("CloseHearing", message("CloseHearingRequest")(hearing_id=hearing))
    refused = None
except grpc.RpcError as error:
    refused = error.code().name

print(
    json.dumps(
        {
            "services": sorted(database.get_services()),
            "kinds": [answer.WhichOneof("kind") for answer in answers],
            "texts": [answer.final.segment.text for answer in answers if answer.WhichOneof("kind") == "final"],
            "entries": [entry.WhichOneof("change") for entry in record.entries],
            "record": [entry.segment.text for entry in record.entries if entry.WhichOneof("change") == "segment"],
            "closed": record.hearing.closed,
            "refused": refused,
        }
    )
)
