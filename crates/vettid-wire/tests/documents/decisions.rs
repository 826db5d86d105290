//! `docs/decisions/README.md` lists every decision by number and title.

use crate::{assert_written, root};
use std::fmt::Write as _;
use std::fs;

const HEAD: &str = "\
# Decisions

Short records of choices that the code alone does not explain: the context, what was decided, and what it costs. A record
is not rewritten when times change; a new one says which it replaces. To add one, take the next free number, begin with
`# NNNN Title`, keep it under a page, and write this index anew:

```sh
UPDATE_DOCS=1 cargo nextest run -p vettid-wire --test documents
```

";

#[test]
fn the_index_lists_every_decision() {
    assert_written("docs/decisions/README.md", &index());
}

fn index() -> String {
    let mut text = HEAD.to_owned();
    for (file, title) in decisions() {
        writeln!(text, "- [{title}]({file})").unwrap();
    }
    text
}

/// File names with titles, in order of their numbers.
fn decisions() -> Vec<(String, String)> {
    let folder = root().join("docs/decisions");
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names.filter(|name| name.ends_with(".md") && name != "README.md").collect();
    files.sort();
    files
        .into_iter()
        .map(|file| (file.clone(), title(&fs::read_to_string(folder.join(&file)).unwrap(), &file)))
        .collect()
}

/// The heading of a decision, which begins with the number of its file.
fn title(text: &str, file: &str) -> String {
    let heading = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
    let number = file.split('-').next().unwrap();
    assert!(heading.contains(number), "{file} does not begin with `# {number} Title`");
    heading.to_owned()
}
