//! What kind of file something is, by how it begins.

/// Whether `shared::picture` is the one to open this; anything else is left to the browser, which
/// may know AVIF, HEIC or JPEG XL. What is ours and broken is not tried again: browsers show half of a truncated file.
pub fn is_ours(head: &[u8]) -> bool {
    let starts = |magic: &[u8]| head.starts_with(magic);
    starts(b"\x89PNG")
        || starts(b"\xff\xd8\xff")
        || (starts(b"RIFF") && head.get(8..12) == Some(b"WEBP"))
        || starts(b"GIF8")
        || starts(b"BM")
        || starts(b"II*\0")
        || starts(b"MM\0*")
        || matches!(head, [b'P', b'1'..=b'7', b'\n' | b'\r' | b' ' | b'\t', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own() {
        let ours: [&[u8]; 5] = [b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBPVP8 ", b"P6\n1 1", b"MM\0*\0"];
        let others: [&[u8]; 5] = [b"", b"\0\0\0 ftypavif", b"RIFF\0\0\0\0WAVE", b"Plain text", b"<svg"];
        assert!(ours.iter().all(|head| is_ours(head)));
        assert!(!others.iter().any(|head| is_ours(head)));
    }
}
