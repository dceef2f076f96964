//! Files of the checkout.

use std::fs;
use std::path::{Path, PathBuf};

/// Product code of one crate, without its tests and comments.
pub(crate) struct Source {
    /// The crate's folder.
    pub(crate) home: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}

pub(crate) fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("this crate is in tests/").to_owned()
}

/// As people write it: from the root of the checkout.
pub(crate) fn shown(file: &Path) -> String {
    file.strip_prefix(repository()).unwrap_or(file).display().to_string()
}

/// All files with this extension, hidden and built ones apart.
pub(crate) fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&repository(), extension, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the checkout can be read") {
        let path = entry.expect("a folder can be read").path();
        let name = path.file_name().and_then(|it| it.to_str()).expect("our names are text");
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            walk(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
}

/// The product's own code. The doubles speak the platforms' codes and the testkit speaks none.
pub(crate) fn sources() -> Vec<Source> {
    let is_product = |path: &Path| {
        let inside = shown(path);
        let parts: Vec<&str> = inside.split('/').collect();
        let of_crate = matches!(parts[..], ["crates" | "services", name, "src", ..] if !matches!(name, "sandbox" | "testkit"));
        of_crate && !parts[3..].iter().any(|it| matches!(*it, "tests" | "tests.rs" | "testing.rs"))
    };
    let read = |file: PathBuf| {
        let home = file.ancestors().find(|it| it.join("Cargo.toml").exists()).expect("a source is in a crate").to_owned();
        Source { home, text: product_part(&fs::read_to_string(&file).expect("a text")), file }
    };
    files("rs").into_iter().filter(|it| is_product(it)).map(read).collect()
}

/// A test module that stands in its file ends it; one in a file of its own is left out by its name.
fn product_part(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_module = |line: &str| line.ends_with('{') && line.trim_start_matches("pub(crate) ").starts_with("mod ");
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && is_module(pair[1]));
    let code = lines[..tests.unwrap_or(lines.len())].iter().filter(|line| !line.trim_start().starts_with("//"));
    code.copied().collect::<Vec<_>>().join("\n")
}
