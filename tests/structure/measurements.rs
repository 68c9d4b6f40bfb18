//! Whatever is measured says what it is, and nothing is described that is not measured.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates of the program.
const CRATES: [&str; 6] = ["journal", "commands", "sagas", "projections", "gateway", "demo"];
const DESCRIBED: &str = "telemetry/described.rs";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// Names of metrics that stand as they are in a source.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('"').skip(1).step_by(2);
    quoted.filter(|it| it.starts_with("tidings_") && it.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

#[test]
fn each_measurement_says_what_it_is() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut files = Vec::new();
    CRATES.iter().for_each(|name| sources(&root.join(name).join("src"), &mut files));
    let (described, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| path.ends_with(DESCRIBED));
    let read = |files: &[PathBuf]| -> BTreeSet<String> {
        let text = |path: &PathBuf| fs::read_to_string(path).unwrap();
        // A quote within a string would turn strings inside out from there on.
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let lines = files.iter().map(text).flat_map(lines).collect::<Vec<_>>();
        lines.iter().flat_map(|line| names(line)).map(str::to_owned).collect()
    };
    let (described, measured) = (read(&described), read(&others));
    let is_crate = |name: &&String| name.starts_with("tidings_gateway");
    let measured: BTreeSet<_> = measured.iter().filter(|name| !is_crate(name)).cloned().collect();
    assert!(measured.len() > 20, "{measured:?}");
    assert_eq!(measured.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new(), "not described");
    assert_eq!(described.difference(&measured).collect::<Vec<_>>(), Vec::<&String>::new(), "not measured");
}
