//! The protocol stays compatible with every release, and every field of it is explained.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use vivavoce::api::grpc::DESCRIPTORS;

/// What clients of version 0.1 rely on: a line a message, field, enum value and call.
const RELEASED: &str = include_str!("../data/proto_v1/surface.txt");

fn ours() -> FileDescriptorProto {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    set.file.into_iter().find(|f| f.package() == "vivavoce.v1").unwrap()
}

/// Every promise of a file: names, numbers, types, cardinality.
fn surface(file: &FileDescriptorProto) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let package = format!(".{}", file.package());
    for message in &file.message_type {
        of_message(&mut lines, &package, message);
    }
    for kind in &file.enum_type {
        of_enum(&mut lines, &package, kind);
    }
    for service in &file.service {
        for call in &service.method {
            let stream = |yes: Option<bool>| if yes.unwrap_or(false) { "stream " } else { "" };
            lines.insert(format!(
                "call {package}.{}/{} ({}{}) -> ({}{})",
                service.name(),
                call.name(),
                stream(call.client_streaming),
                call.input_type(),
                stream(call.server_streaming),
                call.output_type(),
            ));
        }
    }
    lines
}

fn of_message(lines: &mut BTreeSet<String>, parent: &str, message: &DescriptorProto) {
    let path = format!("{parent}.{}", message.name());
    lines.insert(format!("message {path}"));
    for field in &message.field {
        let label = match field.label() {
            Label::Repeated => "repeated ",
            _ if field.proto3_optional() => "optional ",
            _ => "",
        };
        let kind = match field.r#type() {
            Type::Message | Type::Enum => field.type_name().to_owned(),
            scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_ascii_lowercase(),
        };
        let group = field.oneof_index.filter(|_| !field.proto3_optional()).map_or(String::new(), |index| {
            format!(" of {}", message.oneof_decl[usize::try_from(index).unwrap()].name())
        });
        lines.insert(format!("field {path}.{} = {} {label}{kind}{group}", field.name(), field.number()));
    }
    message.nested_type.iter().for_each(|m| of_message(lines, &path, m));
    message.enum_type.iter().for_each(|e| of_enum(lines, &path, e));
}

fn of_enum(lines: &mut BTreeSet<String>, parent: &str, kind: &EnumDescriptorProto) {
    for value in &kind.value {
        lines.insert(format!("value {parent}.{}.{} = {}", kind.name(), value.name(), value.number()));
    }
}

#[test]
fn nothing_that_was_released_is_gone_or_changed() {
    let now = surface(&ours());
    let gone: Vec<&str> = RELEASED.lines().filter(|line| !now.contains(*line)).collect();
    assert!(gone.is_empty(), "clients rely on:\n{}", gone.join("\n"));
    // The release's own list is whole: what is new since joins it with the next release.
    let written = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("surface.txt");
    std::fs::write(&written, now.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    assert!(RELEASED.lines().count() > 150, "the list of a release is the file {}", written.display());
}

#[test]
fn a_change_that_breaks_clients_is_found() {
    let mut file = ours();
    let segment = file.message_type.iter_mut().find(|m| m.name() == "Segment").unwrap();
    let text = segment.field.iter_mut().find(|f| f.name() == "text").unwrap();
    text.number = Some(99);
    let changed = surface(&file);
    let gone: Vec<&str> = RELEASED.lines().filter(|line| !changed.contains(*line)).collect();
    assert_eq!(gone, ["field .vivavoce.v1.Segment.text = 8 string"]);
}

#[test]
fn every_message_field_value_and_call_is_explained() {
    let file = ours();
    let explained: BTreeSet<Vec<i32>> = file
        .source_code_info
        .as_ref()
        .unwrap()
        .location
        .iter()
        .filter(|l| !l.leading_comments().trim().is_empty())
        .map(|l| l.path.clone())
        .collect();
    let mut silent = Vec::new();
    let mut look = |path: Vec<i32>, name: String| {
        if !explained.contains(&path) {
            silent.push(name);
        }
    };
    // The numbers are those of descriptor.proto: 4 messages, 2 their fields; 5 enums, 2 their values; 6 services, 2 calls.
    let index = |i: usize| i32::try_from(i).unwrap();
    for (i, message) in file.message_type.iter().enumerate() {
        look(vec![4, index(i)], message.name().to_owned());
        for (j, field) in message.field.iter().enumerate() {
            look(vec![4, index(i), 2, index(j)], format!("{}.{}", message.name(), field.name()));
        }
    }
    for (i, kind) in file.enum_type.iter().enumerate() {
        look(vec![5, index(i)], kind.name().to_owned());
        for (j, value) in kind.value.iter().enumerate() {
            look(vec![5, index(i), 2, index(j)], value.name().to_owned());
        }
    }
    for (i, service) in file.service.iter().enumerate() {
        for (j, call) in service.method.iter().enumerate() {
            look(vec![6, index(i), 2, index(j)], call.name().to_owned());
        }
    }
    assert!(silent.is_empty(), "{silent:?}");
}
