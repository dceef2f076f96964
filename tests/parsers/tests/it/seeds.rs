use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use parsers::{TARGETS, Target};

use super::made;

fn folder(target: &Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target.name)
}

fn on_disk(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder(target)).expect("every target has seeds").map(|it| it.unwrap().path());
    files.map(|it| (it.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&it).unwrap())).collect()
}

#[test]
fn everything_holds_of_every_seed() {
    for target in TARGETS {
        let seeds = on_disk(&target);
        assert!((1..=20).contains(&seeds.len()), "{}: {} seeds", target.name, seeds.len());
        for (name, seed) in seeds {
            println!("{}/{name}", target.name);
            (target.check)(&seed);
        }
    }
}

/// Otherwise the fuzzer would start from what was sent long ago.
#[test]
fn the_seeds_are_what_the_doubles_send_today() {
    let writes = std::env::var_os("TRADEWIND_WRITE_SEEDS").is_some();
    for target in TARGETS {
        let made = made::seeds(target.name);
        if writes {
            write(&target, &made);
        }
        let kept: BTreeMap<_, _> = on_disk(&target).into_iter().filter(|(name, _)| !name.starts_with("found-")).collect();
        assert_eq!(kept.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>(), "{}", target.name);
        let differ: Vec<_> = made.iter().filter(|(name, seed)| kept[*name] != **seed).map(|(name, _)| name).collect();
        assert!(differ.is_empty(), "{}: {differ:?} differ; TRADEWIND_WRITE_SEEDS=1 writes them anew", target.name);
    }
}

fn write(target: &Target, made: &BTreeMap<String, Vec<u8>>) {
    let folder = folder(target);
    fs::create_dir_all(&folder).unwrap();
    for name in on_disk(target).into_keys().filter(|it| !it.starts_with("found-") && !made.contains_key(it)) {
        fs::remove_file(folder.join(name)).unwrap();
    }
    for (name, seed) in made {
        fs::write(folder.join(name), seed).unwrap();
    }
}

#[test]
fn every_target_has_its_file_for_the_fuzzer_and_no_file_is_without() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, TARGETS.map(|it| format!("{}.rs", it.name)));
}
