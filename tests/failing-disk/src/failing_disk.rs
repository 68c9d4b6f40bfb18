//! A disk that fails when it is told to, for a process that is started with this library in `LD_PRELOAD`.
//!
//! It stands before the C library's `fsync`, `fdatasync` and `write`s. Until the file that `FAILING_DISK` names is there,
//! everything passes. Then that file says, once and for all, which calls fail, and everything that is asked of files
//! below the data directory is recorded beside it, so that a test sees what was written after a failure.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "these are functions of the C library, called by it and calling it")]

use libc::{c_char, c_int, c_void, iovec, off64_t, size_t, ssize_t};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the plan's file says, a word each: `sync` or `write`, how its files' paths end, the directory, the error, how
/// many calls still pass, how many fail then.
struct Plan {
    writes: bool,
    ending: String,
    below: PathBuf,
    error: c_int,
    skip: u64,
    times: u64,
    record: PathBuf,
}

static PLAN: OnceLock<Plan> = OnceLock::new();
static CALLS: AtomicU64 = AtomicU64::new(0);

/// What is to become of a call.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Passes,
    /// The first write that fails on a full disk writes what still fits.
    Halves,
    Fails(c_int),
}

fn plan() -> Option<&'static Plan> {
    if let Some(plan) = PLAN.get() {
        return Some(plan);
    }
    let file = PathBuf::from(std::env::var_os("FAILING_DISK")?);
    let text = std::fs::read_to_string(&file).ok()?;
    let [calls, ending, below, error, skip, times] = text.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
    let error = if error == "ENOSPC" { libc::ENOSPC } else { libc::EIO };
    let (skip, times) = (skip.parse().ok()?, times.parse().ok()?);
    let (ending, below, record) = (ending.to_owned(), below.into(), file.with_extension("record"));
    Some(PLAN.get_or_init(|| Plan { writes: calls == "write", ending, below, error, skip, times, record }))
}

impl Plan {
    fn judge(&self, path: &Path, is_write: bool) -> Verdict {
        if is_write != self.writes || !path.as_os_str().as_bytes().ends_with(self.ending.as_bytes()) {
            return Verdict::Passes;
        }
        let call = CALLS.fetch_add(1, Ordering::SeqCst);
        if call < self.skip || call - self.skip >= self.times {
            Verdict::Passes
        } else if is_write && self.error == libc::ENOSPC && call == self.skip {
            Verdict::Halves
        } else {
            Verdict::Fails(self.error)
        }
    }

    /// One line: what became of which call on which file, and where the file's cursor stood.
    fn note(&self, verdict: Verdict, call: &CStr, path: &Path, fd: c_int) {
        let word = match verdict {
            Verdict::Passes => "passed",
            Verdict::Halves => "halved",
            Verdict::Fails(_) => "failed",
        };
        // SAFETY: asks where the cursor of the caller's descriptor stands; a wrong descriptor is answered -1.
        let cursor = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
        let path = path.strip_prefix(&self.below).unwrap_or(path);
        let line = format!("{word} {} {} {cursor}\n", call.to_string_lossy(), path.display());
        let Ok(name) = std::ffi::CString::new(self.record.as_os_str().as_bytes()) else { return };
        // SAFETY: `name` ends in zero and `line` is as long as is said; the descriptor is closed by who opened it.
        unsafe {
            let record = libc::open(name.as_ptr(), libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT, 0o600);
            real::<Write>(&REAL_WRITE, c"write")(record, line.as_ptr().cast(), line.len());
            libc::close(record);
        }
    }
}

/// What is to become of a call on a descriptor; noted if the plan holds and the file is below the directory.
fn verdict(fd: c_int, call: &CStr, is_write: bool) -> Verdict {
    let Some(plan) = plan() else { return Verdict::Passes };
    let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{fd}")) else { return Verdict::Passes };
    if !path.starts_with(&plan.below) {
        return Verdict::Passes;
    }
    let verdict = plan.judge(&path, is_write);
    plan.note(verdict, call, &path, fd);
    verdict
}

fn fail(error: c_int) {
    // SAFETY: the C library's own place for the error of this thread.
    unsafe { *libc::__errno_location() = error }
}

type Sync = unsafe extern "C" fn(c_int) -> c_int;
type Write = unsafe extern "C" fn(c_int, *const c_void, size_t) -> ssize_t;
type WriteVector = unsafe extern "C" fn(c_int, *const iovec, c_int) -> ssize_t;
type WriteAt = unsafe extern "C" fn(c_int, *const c_void, size_t, off64_t) -> ssize_t;

static REAL_FSYNC: OnceLock<usize> = OnceLock::new();
static REAL_FDATASYNC: OnceLock<usize> = OnceLock::new();
static REAL_WRITE: OnceLock<usize> = OnceLock::new();
static REAL_WRITEV: OnceLock<usize> = OnceLock::new();
static REAL_PWRITE64: OnceLock<usize> = OnceLock::new();

/// The function of this name that this library stands before.
///
/// # Safety
/// `F` is the function's type.
unsafe fn real<F: Copy>(place: &OnceLock<usize>, name: &CStr) -> F {
    // SAFETY: `name` ends in zero.
    let found = *place.get_or_init(|| unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast::<c_char>()) as usize });
    assert!(found != 0 && size_of::<F>() == size_of::<usize>(), "the C library has no {}", name.to_string_lossy());
    // SAFETY: a function's address, of the type that the caller vouches for.
    unsafe { std::mem::transmute_copy(&found) }
}

/// See fsync(2).
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    match verdict(fd, c"fsync", false) {
        Verdict::Fails(error) => {
            fail(error);
            -1
        }
        // SAFETY: as the caller promises.
        _ => unsafe { real::<Sync>(&REAL_FSYNC, c"fsync")(fd) },
    }
}

/// See fdatasync(2).
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    match verdict(fd, c"fdatasync", false) {
        Verdict::Fails(error) => {
            fail(error);
            -1
        }
        // SAFETY: as the caller promises.
        _ => unsafe { real::<Sync>(&REAL_FDATASYNC, c"fdatasync")(fd) },
    }
}

/// See write(2).
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    let length = match verdict(fd, c"write", true) {
        Verdict::Fails(error) => {
            fail(error);
            return -1;
        }
        Verdict::Halves => length / 2,
        Verdict::Passes => length,
    };
    // SAFETY: as the caller promises.
    unsafe { real::<Write>(&REAL_WRITE, c"write")(fd, bytes, length) }
}

/// See writev(2).
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
    match verdict(fd, c"writev", true) {
        Verdict::Passes => {
            // SAFETY: as the caller promises.
            unsafe { real::<WriteVector>(&REAL_WRITEV, c"writev")(fd, vector, count) }
        }
        Verdict::Halves => {
            fail(libc::ENOSPC);
            -1
        }
        Verdict::Fails(error) => {
            fail(error);
            -1
        }
    }
}

/// See pwrite(2).
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, length: size_t, at: off64_t) -> ssize_t {
    let length = match verdict(fd, c"pwrite64", true) {
        Verdict::Fails(error) => {
            fail(error);
            return -1;
        }
        Verdict::Halves => length / 2,
        Verdict::Passes => length,
    };
    // SAFETY: as the caller promises.
    unsafe { real::<WriteAt>(&REAL_PWRITE64, c"pwrite64")(fd, bytes, length, at) }
}
