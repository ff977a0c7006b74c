//! The file is built here, with small made-up weights: what is tested is the reading.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::network::SileroStream;
use super::super::{FRAME, SpeechDetector};
use super::*;

fn number(value: usize) -> [u8; 4] {
    i32::try_from(value).unwrap().to_le_bytes()
}

fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    bytes.extend(number(KIND.len()));
    bytes.extend(KIND);
    for value in [6, 2, 0].into_iter().chain(HEADER.map(|(_, value)| value)) {
        bytes.extend(number(value));
    }
    bytes
}

fn tensor(index: usize) -> Vec<u8> {
    let Expected(name, format, sizes) = &TENSORS[index];
    let mut bytes = Vec::new();
    bytes.extend(number(sizes.len()));
    bytes.extend(number(name.len()));
    bytes.extend(number(usize::from(*format == Format::Half)));
    for size in *sizes {
        bytes.extend(number(*size));
    }
    bytes.extend(name.as_bytes());
    for at in 0..sizes.iter().product() {
        let value = f32::from(u8::try_from((at * 31 + index) % 17).unwrap()) / 100.0 - 0.08;
        match format {
            Format::Single => bytes.extend(value.to_le_bytes()),
            Format::Half => bytes.extend(f16::from_f32(value).to_le_bytes()),
        }
    }
    bytes
}

fn file() -> Vec<u8> {
    let mut bytes = header();
    bytes.extend((0..TENSORS.len()).flat_map(tensor));
    bytes
}

/// The start of tensor `index` in [`file`].
fn start_of(index: usize) -> usize {
    header().len() + (0..index).map(|before| tensor(before).len()).sum::<usize>()
}

#[track_caller]
fn check(bytes: &[u8], expected: &VadError) {
    assert_eq!(SileroModel::parse(bytes).err().as_ref(), Some(expected));
}

#[test]
fn a_whole_file_is_read_and_runs() {
    let bytes = file();
    assert_eq!(bytes.len(), 885_098);
    let mut stream = SileroStream::new(Arc::new(SileroModel::parse(&bytes).unwrap()));
    let first = stream.push(&[0.1; FRAME]);
    let second = stream.push(&[0.1; FRAME]);
    assert_ne!(first, second, "the stream remembers");
    stream.reset();
    assert_eq!(first, stream.push(&[0.1; FRAME]), "a reset forgets");
}

#[test]
fn a_broken_frame_leaves_the_stream_usable() {
    let mut stream = SileroStream::new(Arc::new(SileroModel::parse(&file()).unwrap()));
    for sample in [f32::NAN, f32::INFINITY, f32::MIN, f32::MAX, 1e-42] {
        stream.push(&[sample; FRAME]);
    }
    let after = stream.push(&[0.1; FRAME]).value();
    assert!(after > 0.0 && after < 1.0, "{after}");
}

#[test]
fn the_order_of_the_tensors_is_free() {
    let mut bytes = header();
    bytes.extend((0..TENSORS.len()).rev().flat_map(tensor));
    SileroModel::parse(&bytes).unwrap();
}

#[test]
fn what_is_no_ggml_file_is_refused() {
    check(b"", &VadError::NotGgml);
    check(b"RIFF....WAVE", &VadError::NotGgml);
}

#[test]
fn another_network_is_refused() {
    let mut bytes = file();
    bytes[8] = b'x';
    check(&bytes, &VadError::WrongKind);
    let mut bytes = file();
    bytes[30..34].copy_from_slice(&number(256));
    check(&bytes, &VadError::Unsupported { field: "frame length", found: 256, expected: FRAME });
    let mut bytes = file();
    bytes[18..22].copy_from_slice(&number(4));
    check(&bytes, &VadError::Unsupported { field: "version", found: 4, expected: 6 });
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = file();
    let cuts = (0..200).chain((0..TENSORS.len()).flat_map(|index| [start_of(index) + 1, start_of(index) + 40]));
    for cut in cuts.chain([bytes.len() - 1]) {
        assert!(SileroModel::parse(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    check(&bytes[..start_of(14)], &VadError::MissingTensor { name: TENSORS[14].0 });
}

#[test]
fn a_tensor_that_is_not_the_networks_is_refused() {
    let mut bytes = file();
    bytes.extend(tensor(2));
    check(&bytes, &VadError::DuplicateTensor { name: TENSORS[2].0 });

    let mut bytes = file();
    let at = start_of(1) + 12;
    bytes[at..at + 4].copy_from_slice(&number(4));
    check(&bytes, &VadError::WrongShape { name: TENSORS[1].0 });

    let mut bytes = file();
    let at = start_of(3) + 30;
    bytes[at] = b'!';
    check(&bytes, &VadError::UnknownTensor { at: start_of(3) });

    let mut bytes = file();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    check(&bytes, &VadError::NotFinite { name: TENSORS[14].0 });
}

#[test]
fn lengths_out_of_range_are_refused_before_anything_is_read() {
    for value in [-1, i32::MIN, i32::MAX] {
        for at in [0, 4, 8, 12] {
            let mut bytes = file();
            let at = start_of(5) + at;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(SileroModel::parse(&bytes).is_err(), "{value} at {at}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reading_panic(at in 0..file().len(), junk in any::<[u8; 8]>(), cut in 0..file().len()) {
        let mut bytes = file();
        for (byte, junk) in bytes[at..].iter_mut().zip(junk) {
            *byte = junk;
        }
        let _ = SileroModel::parse(&bytes);
        let _ = SileroModel::parse(&bytes[..cut]);
        let mut start = header();
        start.extend(junk);
        prop_assert!(SileroModel::parse(&start).is_err());
    }
}
