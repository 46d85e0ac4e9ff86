//! The samples of each target, in `corpus/<target>/`.

use std::fs;
use std::io;
use std::path::PathBuf;

/// Reads the samples of a target, in the order of their names.
///
/// A file `x.repeat` stands for a long sample: a line with a number, and the text
/// that is repeated so often between the next line and the last one.
///
/// # Errors
/// If they cannot be read.
pub fn samples(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder.join(target))? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut samples = Vec::new();
    for path in paths {
        let bytes = fs::read(&path)?;
        samples.push(match path.extension() {
            Some(extension) if extension == "repeat" => repeated(&bytes)?,
            _ => bytes,
        });
    }
    Ok(samples)
}

/// Four lines: how often, what before, what, what behind.
fn repeated(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let broken = || io::Error::other("a .repeat has four lines: count, before, what, behind");
    let [count, before, what, behind] = lines[..] else {
        return Err(broken());
    };
    let count = count.parse().map_err(|_| broken())?;
    Ok([before, &what.repeat(count), behind].concat().into_bytes())
}
