//! The figures of a run as a TensorBoard event file: TFRecord frames, each an `Event` in protobuf.

use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use crc::{CRC_32_ISCSI, Crc};

use super::{Record, write_atomically};

/// Brings an event file up to date. Rows that came since are appended, because TensorBoard keeps the file open; only a file of
/// other rows is replaced.
///
/// # Errors
/// When it cannot be read or written.
pub(super) fn update(path: &Path, record: &Record) -> Result<()> {
    let events = encode(record);
    let before = if path.exists() { std::fs::read(path).with_context(|| path.display().to_string())? } else { Vec::new() };
    match events.strip_prefix(before.as_slice()) {
        Some(news) if !before.is_empty() => {
            let append = || std::fs::OpenOptions::new().append(true).open(path)?.write_all(news);
            append().with_context(|| format!("cannot write {}", path.display()))
        }
        _ => write_atomically(path, &events),
    }
}

/// All rows, one event each.
fn encode(record: &Record) -> Vec<u8> {
    let started = humantime::parse_rfc3339_weak(record.fact("started")).unwrap_or(SystemTime::UNIX_EPOCH);
    let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut file = Vec::new();
    frame(&mut file, &[double(1, started), bytes(3, b"brain.Event:2")].concat());
    for row in &record.rows {
        let cell = |name: &str| record.columns.iter().position(|c| c == name).and_then(|i| row.get(i)).filter(|v| v.is_finite());
        let Some(step) = cell("step") else { continue };
        let named = record.columns.iter().filter(|name| !["epoch", "step", "seconds"].contains(&name.as_str()));
        let values =
            named.filter_map(|name| Some(bytes(1, &[bytes(1, tag(name).as_bytes()), float(2, *cell(name)? as f32)].concat())));
        let summary = values.collect::<Vec<_>>().concat();
        let time = started + cell("seconds").unwrap_or(&0.0);
        frame(&mut file, &[double(1, time), number(2, *step as u64), bytes(5, &summary)].concat());
    }
    file
}

/// TensorBoard groups by what stands before the slash.
fn tag(column: &str) -> String {
    match column.strip_suffix("_loss") {
        Some(of) => format!("loss/{of}"),
        None => column.to_owned(),
    }
}

/// Length, its checksum, data, its checksum.
fn frame(file: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    file.extend([&length, masked(&length).as_slice(), data, &masked(data)].concat());
}

fn masked(data: &[u8]) -> [u8; 4] {
    const CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
    CASTAGNOLI.checksum(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// A varint.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

// Protobuf: fields by number.

fn number(field: u8, value: u64) -> Vec<u8> {
    [vec![field << 3], varint(value)].concat()
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[field << 3 | 1], value.to_le_bytes().as_slice()].concat()
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2], varint(value.len() as u64).as_slice(), value].concat()
}

fn float(field: u8, value: f32) -> Vec<u8> {
    [&[field << 3 | 5], value.to_le_bytes().as_slice()].concat()
}
