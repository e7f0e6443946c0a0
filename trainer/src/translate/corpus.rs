//! Sentences and their translations, from folders, tables and archives.
//!
//! - A folder holds files of one sentence a line, named by part and language: `train.de`, `val.en.gz`, `test_2016_flickr.fr`.
//! - A table (`.tsv`, `.txt`) has a pair a line, the columns separated by tabs.
//! - An archive (`.zip`) holds one table, as those of Tatoeba by manythings.org do.
//!
//! Only folders say which sentences are for testing. Of a table those whose first column has the smallest hashes are held out;
//! a sentence stands there in many pairs, so all pairs of a sentence go the same way, and so do those that share a translation.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

/// Sentences of a table that are held out to test, and as many again, at most, to validate.
const HELD_OUT: usize = 2000;
/// At most this part of a table is held out for each.
const SHARE: usize = 20;

/// A sentence and its translation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// In the language that is read.
    pub source: String,
    /// In the language that is written.
    pub target: String,
}

/// Pairs by what they are for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corpus {
    /// To learn from.
    pub train: Vec<Pair>,
    /// To validate on while learning.
    pub valid: Vec<Pair>,
    /// To test, by the name of the set.
    pub test: BTreeMap<String, Vec<Pair>>,
}

/// Reads a folder, a table or an archive, for translation from `source` to `target`, which are languages' codes. `columns` are
/// the languages of a table's columns; without it they are English first in an archive, and source and target in a table.
///
/// # Errors
/// When there is nothing to read; the file is named.
pub fn read(path: &Path, source: &str, target: &str, columns: Option<&[String]>) -> Result<Corpus> {
    let corpus = if path.is_dir() {
        folder(path, source, target)?
    } else {
        let archive = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"));
        let text = if archive { unzip(path) } else { text(path) }.with_context(|| path.display().to_string())?;
        let other = if source == "en" { target } else { source };
        let default = if archive { ["en", other] } else { [source, target] }.map(str::to_owned);
        let columns = columns.unwrap_or(&default);
        let column = |language: &str| {
            let at = columns.iter().position(|c| c == language);
            at.with_context(|| format!("{}: its columns are {}, none is {language}", path.display(), columns.join(", ")))
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        table(&text, column(source)?, column(target)?, &name)
    };
    ensure!(
        !(corpus.train.is_empty() && corpus.valid.is_empty() && corpus.test.is_empty()),
        "{}: no pairs of {source} and {target} in it",
        path.display()
    );
    Ok(corpus)
}

fn folder(path: &Path, source: &str, target: &str) -> Result<Corpus> {
    let mut parts: BTreeMap<String, [Option<PathBuf>; 2]> = BTreeMap::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((part, language)) = name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.') else { continue };
        for (i, wanted) in [source, target].into_iter().enumerate() {
            if language == wanted {
                parts.entry(part.to_owned()).or_default()[i] = Some(file.clone());
            }
        }
    }
    let mut corpus = Corpus::default();
    for (part, files) in parts {
        let [Some(sources), Some(targets)] = files else { continue };
        let lines = |file: &Path| text(file).with_context(|| file.display().to_string());
        let (a, b) = (lines(&sources)?, lines(&targets)?);
        let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
        let same = a.len() == b.len();
        ensure!(same, "{} has {} lines, {} has {}", sources.display(), a.len(), targets.display(), b.len());
        let pairs: Vec<Pair> = a.into_iter().zip(b).filter_map(|(a, b)| pair(a, b)).collect();
        match part.as_str() {
            "train" => corpus.train = pairs,
            "val" | "valid" | "dev" => corpus.valid = pairs,
            _ => {
                corpus.test.insert(part, pairs);
            }
        }
    }
    Ok(corpus)
}

fn pair(source: &str, target: &str) -> Option<Pair> {
    let (source, target) = (source.trim(), target.trim());
    let full = !source.is_empty() && !target.is_empty();
    full.then(|| Pair { source: source.to_owned(), target: target.to_owned() })
}

fn text(path: &Path) -> Result<String> {
    let mut text = String::new();
    let mut file = BufReader::new(File::open(path)?);
    if path.extension().is_some_and(|e| e == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        file.read_to_string(&mut text)?;
    }
    Ok(text)
}

/// The largest table in an archive; others are notes.
fn unzip(path: &Path) -> Result<String> {
    let mut archive = zip::ZipArchive::new(BufReader::new(File::open(path)?))?;
    let tables: Vec<(u64, usize)> = (0..archive.len())
        .filter_map(|i| {
            let file = archive.by_index(i).ok()?;
            let name = file.name().ok()?.to_lowercase();
            (name.ends_with(".txt") || name.ends_with(".tsv")).then(|| (file.size(), i))
        })
        .collect();
    let Some(&(_, largest)) = tables.iter().max() else { bail!("no table (.txt, .tsv) in it") };
    let mut text = String::new();
    archive.by_index(largest)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Sentences that a reader takes for one are one here: letters and digits, in lower case.
fn key(sentence: &str) -> String {
    sentence.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn hash(sentence: &str) -> [u8; 32] {
    Sha256::digest(key(sentence)).into()
}

fn table(text: &str, source: usize, target: usize, name: &str) -> Corpus {
    let mut rows: Vec<(Pair, [u8; 32])> = Vec::new();
    let mut seen = HashSet::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let (Some(first), Some(a), Some(b)) = (cells.first(), cells.get(source), cells.get(target)) else { continue };
        if let Some(pair) = pair(a, b)
            && seen.insert(pair.clone())
        {
            rows.push((pair, hash(first)));
        }
    }
    let mut hashes: Vec<[u8; 32]> = rows.iter().map(|(_, hash)| *hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let count = HELD_OUT.min(hashes.len() / SHARE);
    // 0 tests, 1 validates, 2 is learnt from.
    let part = |hash: &[u8; 32]| match hashes.binary_search(hash) {
        Ok(at) => usize::from(at >= count) + usize::from(at >= 2 * count),
        Err(_) => 2,
    };

    let mut corpus = Corpus::default();
    let mut test = Vec::new();
    let mut held_out = HashSet::new();
    let mut first_of = HashSet::new();
    for (pair, hash) in &rows {
        let part = part(hash);
        if part < 2 {
            held_out.extend([hashed(&pair.source), hashed(&pair.target)]);
            // Of the pairs of one sentence, the first.
            if first_of.insert(*hash) {
                if part == 0 { &mut test } else { &mut corpus.valid }.push(pair.clone());
            }
        }
    }
    corpus.train = rows
        .into_iter()
        .filter(|(pair, _)| !held_out.contains(&hashed(&pair.source)) && !held_out.contains(&hashed(&pair.target)))
        .map(|(pair, _)| pair)
        .collect();
    if !test.is_empty() {
        corpus.test.insert(name.to_owned(), test);
    }
    corpus
}

fn hashed(sentence: &str) -> u64 {
    u64::from_le_bytes(hash(sentence)[..8].try_into().unwrap_or_default())
}

/// Drops what teaches nothing: pairs twice, pairs that say the same on both sides, pairs of very different length. What stays, and
/// how many went.
pub fn clean(pairs: Vec<Pair>) -> (Vec<Pair>, usize) {
    let all = pairs.len();
    let good = |pair: &Pair| {
        let (a, b) = (pair.source.chars().count(), pair.target.chars().count());
        let alike = a.max(b) <= 3 * a.min(b) + 10;
        alike && (pair.source != pair.target || a < 20)
    };
    let kept: Vec<Pair> = pairs.into_iter().filter(good).collect();
    let dropped = all - kept.len();
    (kept, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn folders_are_read_by_part_and_language() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("train.de", "Hallo.\n\nJa.\n");
        write("train.en", "Hello.\nNo.\nYes.\n");
        write("train.fr", "Salut.\nNon.\nOui.\n");
        write("val.de", "Nein.\n");
        write("val.en", "No.\n");
        write("test_x.de", "A\n");
        write("README.md", "");
        let corpus = read(folder.path(), "de", "en", None).unwrap();
        assert_eq!(corpus.train, [pair("Hallo.", "Hello.").unwrap(), pair("Ja.", "Yes.").unwrap()]);
        assert_eq!((corpus.valid.len(), corpus.test.len()), (1, 0));
        write("val.en", "No.\nMaybe.\n");
        assert!(read(folder.path(), "de", "en", None).unwrap_err().to_string().contains("val.en"));
        assert!(read(folder.path(), "de", "it", None).unwrap_err().to_string().contains("de and it"));
    }

    #[test]
    fn no_sentence_is_on_both_sides() {
        let lines: String = (0..1000).map(|i| format!("Sentence {}.\tSatz {}.\tnote\n", i / 2, i / 3)).collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.tsv");
        fs::write(&file, lines).unwrap();
        let columns = ["en".to_owned(), "de".to_owned()];
        let corpus = read(&file, "de", "en", Some(&columns)).unwrap();
        let test = &corpus.test["t"];
        assert_eq!((test.len(), corpus.valid.len()), (25, 25));
        let keys = |pairs: &[Pair]| -> HashSet<String> { pairs.iter().flat_map(|p| [key(&p.source), key(&p.target)]).collect() };
        let train = keys(&corpus.train);
        assert!(corpus.train.len() > 500 && train.is_disjoint(&keys(test)) && train.is_disjoint(&keys(&corpus.valid)));
        assert!(test.iter().all(|p| p.source.starts_with("Satz") && p.target.starts_with("Sentence")));
        assert_eq!(read(&file, "de", "en", Some(&columns)).unwrap(), corpus);
        assert!(read(&file, "de", "fr", Some(&columns)).unwrap_err().to_string().contains("none is fr"));
    }
}
