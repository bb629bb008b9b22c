//! Where the programs under test are.

use std::path::PathBuf;

/// The path of `name`: in the directory that `CAROUSEL_BIN_DIR` names, else where cargo puts the programs of the
/// same build, which is one above the tests.
///
/// # Panics
/// If it is not there.
pub fn binary(name: &str) -> PathBuf {
    let dir = std::env::var_os("CAROUSEL_BIN_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("a process knows its program");
            test.ancestors().nth(2).expect("tests lie in a directory of the build").to_path_buf()
        },
        PathBuf::from,
    );
    let path = dir.join(name);
    assert!(
        path.is_file(),
        "{} is missing: run all tests with `cargo test --workspace`, which builds the programs too, or name their \
         directory in CAROUSEL_BIN_DIR",
        path.display()
    );
    path
}
