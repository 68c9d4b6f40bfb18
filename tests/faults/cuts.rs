//! Every stored file is cut short, or is not there: the log says so, or nothing was lost by it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tidings_tests::snapshot::SavedFile;
use tidings_tests::stored_log::{Outcome, StoredLog};

/// How a file is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// To so many bytes.
    To(u64),
    /// It is not there.
    Removed,
}

impl Cut {
    fn make(self, file: &Path) {
        match self {
            Self::To(length) => fs::File::options().write(true).open(file).and_then(|file| file.set_len(length)),
            Self::Removed => fs::remove_file(file),
        }
        .expect("the copy is ours");
    }
}

/// Nothing, a byte, half, all but a byte; of what is written and of what is reserved behind it.
fn cuts(file: &SavedFile) -> Vec<Cut> {
    let written = file.content.len() as u64;
    let lengths = [0, 1, written / 2, written.saturating_sub(1), file.length.saturating_sub(1)];
    let lengths: BTreeSet<_> = lengths.into_iter().filter(|length| *length < file.length).collect();
    lengths.into_iter().map(Cut::To).chain([Cut::Removed]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_or_missing_file_is_found_or_nothing_was_in_it() {
    let begun = Instant::now();
    let (mut detected, mut harmless, mut files, mut holes) = (0, Vec::new(), 0, Vec::new());
    for large in [false, true] {
        let log = Arc::new(StoredLog::make(large).await);
        for file in log.files() {
            files += 1;
            for cut in cuts(file) {
                let path = file.path.clone();
                match log.after(&file.path, move |directory| cut.make(&directory.join(path))).await {
                    Outcome::Detected(_) => detected += 1,
                    Outcome::Harmless => harmless.push(format!("{} {cut:?}", file.path.display())),
                    Outcome::Hole(what) => holes.push(format!("{} {cut:?}: {what}", file.path.display())),
                }
            }
        }
    }
    println!(
        "cuts: {} of {files} files in {:.0?}: {detected} detected, {} harmless ({}), {} neither",
        detected + harmless.len() + holes.len(),
        begun.elapsed(),
        harmless.len(),
        harmless.join(", "),
        holes.len()
    );
    assert!(holes.is_empty(), "{holes:#?}");
    assert!(detected > 0);
}
