//! Documents say what the code says: every error code has its page, every name in a page is a name in the code, every link
//! leads somewhere.

#[path = "docs/codes.rs"]
mod codes;
#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::fs;

use tree::{files, repository, sources};

/// Messages of the same run in one list: all of them are wanted, not the first.
fn assert_none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

/// Names of the pages in a folder of `docs`, without its index.
fn pages(folder: &str) -> BTreeSet<String> {
    let names = fs::read_dir(repository().join("docs").join(folder)).expect("the folder is there").filter_map(|it| {
        let name = it.expect("a folder can be read").file_name().into_string().expect("our names are text");
        name.strip_suffix(".md").map(str::to_owned)
    });
    names.filter(|it| it != "README").collect()
}

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    let (codes, unreadable) = codes::of(&sources());
    assert_none(&unreadable);
    let pages = pages("errors");
    let without_page = codes.difference(&pages).map(|it| format!("the code `{it}` has no page docs/errors/{it}.md"));
    let without_code = pages.difference(&codes).map(|it| format!("docs/errors/{it}.md is about a code that is not in the sources"));
    assert_none(&without_page.chain(without_code).collect::<Vec<_>>());
}

#[test]
fn every_error_page_and_runbook_says_what_it_means_what_to_check_and_how_to_cure_it() {
    let mut offences = Vec::new();
    for folder in ["errors", "runbooks"] {
        for name in pages(folder) {
            let text = fs::read_to_string(repository().join(format!("docs/{folder}/{name}.md"))).expect("it was listed");
            for heading in ["## Meaning", "## Check", "## Cure"] {
                if !text.lines().any(|line| line == heading) {
                    offences.push(format!("docs/{folder}/{name}.md has no `{heading}`"));
                }
            }
        }
    }
    assert_none(&offences);
}

#[test]
fn every_index_lists_its_pages() {
    let mut offences = Vec::new();
    for folder in ["adr", "errors", "runbooks"] {
        let index = fs::read_to_string(repository().join(format!("docs/{folder}/README.md"))).expect("each folder has its index");
        let missing = pages(folder).into_iter().filter(|it| !index.contains(&format!("]({it}.md)")));
        offences.extend(missing.map(|it| format!("docs/{folder}/README.md does not link {it}.md")));
    }
    assert_none(&offences);
}

#[test]
fn every_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let mut offences = Vec::new();
    for file in files("md") {
        let text = fs::read_to_string(&file).expect("a text");
        for target in markdown::links(&text) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let linked = if path.is_empty() { file.clone() } else { file.parent().expect("a file is in a folder").join(path) };
            if !linked.exists() {
                offences.push(format!("{}: {target} leads nowhere", tree::shown(&file)));
            } else if !anchor.is_empty() && !markdown::anchors(&fs::read_to_string(&linked).unwrap_or_default()).contains(anchor) {
                offences.push(format!("{}: {target} names no heading", tree::shown(&file)));
            }
        }
    }
    assert_none(&offences);
}

#[test]
fn every_file_that_a_document_names_exists() {
    let mut offences = Vec::new();
    for file in files("md") {
        let text = fs::read_to_string(&file).expect("a text");
        for path in markdown::code_spans(&text).into_iter().filter(|it| markdown::is_path(it)) {
            // A test in it may be named as well, see below.
            let path = path.split("::").next().unwrap_or_default();
            if !repository().join(path).exists() {
                offences.push(format!("{}: there is no {path}", tree::shown(&file)));
            }
        }
    }
    assert_none(&offences);
}

/// In the table of traps the names behind a file are tests in it.
#[test]
fn every_trap_has_its_tests_and_every_test_is_there() {
    let text = fs::read_to_string(repository().join("docs/reliability.md")).expect("the page is there");
    let rows = markdown::rows(&text, "## Traps and their tests");
    assert!(rows.len() > 15, "only {} traps were found", rows.len());
    let mut offences = Vec::new();
    for row in rows {
        let (mut file, mut tests) = (String::new(), 0);
        for span in markdown::code_spans(row.last().expect("a row has cells")) {
            if markdown::is_path(&span) {
                file = fs::read_to_string(repository().join(&span)).unwrap_or_default();
            } else if has_test(&file, &span) {
                tests += 1;
            } else {
                offences.push(format!("`{}`: there is no test {span}", row[0]));
            }
        }
        if tests == 0 {
            offences.push(format!("`{}` has no test", row[0]));
        }
    }
    assert_none(&offences);
}

/// Written `<file>::<test>`. A promise whose test was renamed or thrown away is one that nobody keeps.
#[test]
fn every_test_that_a_document_names_is_in_its_file() {
    let mut offences = Vec::new();
    let mut named = 0;
    for file in files("md") {
        let text = fs::read_to_string(&file).expect("a text");
        for span in markdown::code_spans(&text).into_iter().filter(|it| markdown::is_path(it)) {
            let Some((path, test)) = span.split_once("::") else { continue };
            named += 1;
            let source = fs::read_to_string(repository().join(path)).unwrap_or_default();
            if !has_test(&source, test) {
                offences.push(format!("{}: there is no test {test} in {path}", tree::shown(&file)));
            }
        }
    }
    assert_none(&offences);
    assert!(named > 0, "docs/security.md names some");
}

/// A function behind an attribute that makes it a test, and nothing between that and its end that ignores it.
fn has_test(source: &str, name: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else { return false };
    let attributes = before.rsplit_once("\n\n").map_or(before, |it| it.1);
    ["#[test]", "#[tokio::test"].iter().any(|it| attributes.contains(it)) && !attributes.contains("#[ignore")
}

#[test]
fn every_document_that_the_code_names_exists() {
    let mut offences = Vec::new();
    for file in ["rs", "toml", "sh", "sql", "yaml", "yml"].into_iter().flat_map(files) {
        let text = fs::read_to_string(&file).expect("a text");
        for path in markdown::documents(&text) {
            if !repository().join(&path).exists() {
                offences.push(format!("{}: there is no {path}", tree::shown(&file)));
            }
        }
    }
    assert_none(&offences);
}

/// Prometheus shows a counter with `_total` behind its name, and a histogram as three series.
#[test]
fn every_metric_that_a_document_names_is_in_the_code() {
    let known: BTreeSet<String> = sources().iter().flat_map(|it| codes::metrics(&it.text)).collect();
    let is_known = |name: &str| {
        let stem = ["_total", "_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        known.contains(name) || stem.is_some_and(|it| known.contains(it))
    };
    let mut offences = Vec::new();
    for file in files("md") {
        let text = fs::read_to_string(&file).expect("a text");
        let unknown = markdown::metrics(&text).into_iter().filter(|it| !is_known(it));
        offences.extend(unknown.map(|it| format!("{}: no code counts {it}", tree::shown(&file))));
    }
    assert_none(&offences);
}
