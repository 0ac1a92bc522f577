//! Numbers in a file, as a slice.

use std::fs::File;
use std::io;

/// The first numbers of a file, read when they are used.
pub(crate) struct Mapped {
    bytes: Option<memmap2::Mmap>,
    count: usize,
}

impl Mapped {
    /// The first `count` numbers of `file`, as this machine writes them. Nobody may shorten the file while this lives.
    pub(crate) fn new(file: &File, count: usize) -> io::Result<Self> {
        let wanted = count * size_of::<f32>();
        if (file.metadata()?.len() as usize) < wanted {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is too short"));
        }
        // An empty file cannot be mapped.
        // SAFETY: the trainer alone knows the file; it wrote it, and removes it, which keeps the pages, but does not
        // change it while it is mapped.
        let bytes = if count == 0 { None } else { Some(unsafe { memmap2::Mmap::map(file)? }) };
        Ok(Self { bytes, count })
    }

    pub(crate) fn numbers(&self) -> &[f32] {
        // Pages are aligned for any number.
        self.bytes
            .as_deref()
            .map_or(&[], |bytes| bytemuck::cast_slice(&bytes[..self.count * size_of::<f32>()]))
    }
}
