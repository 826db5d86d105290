//! Tests of the examples at the end of each `--help`: every command that does something has one, each is a command line that parses, and
//! no line is so long that the help breaks it.

use super::CommandLine;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, CommandFactory as _};
use std::collections::BTreeSet;

/// The help is as wide as this.
const WIDTH: usize = 100;

/// What may stand for a word such as `CONNECTION` in an example: an id, bytes, a fingerprint, a hash, a key, a number.
/// Each place has its own, so that an error tells which one is meant.
fn stand_ins(place: usize) -> [String; 6] {
    let letter = char::from(b'A' + u8::try_from(place).unwrap());
    [
        format!("0190b0c5-7d4e-7a3c-8f21-5b6c7d8e9f{place:02x}"),
        format!("{letter}{}", "A".repeat(21)),
        format!("{letter}{}", "A".repeat(42)),
        format!("{letter}{}=", "A".repeat(42)),
        format!("ed25519:{letter}{}=", "A".repeat(42)),
        format!("{}", 100 + place),
    ]
}

fn tree() -> Command {
    let mut tree = CommandLine::command();
    tree.build();
    tree
}

/// Every command below this one, with its words.
fn commands(command: &Command, path: &[&str], found: &mut Vec<(String, Command)>) {
    let path = [path, &[command.get_name()]].concat();
    found.push((path.join(" "), command.clone()));
    command.get_subcommands().for_each(|below| commands(below, &path, found));
}

fn all() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    commands(&tree(), &[], &mut found);
    found
}

/// Whether it does something by itself, rather than those below it alone.
fn does_something(command: &Command) -> bool {
    command.get_subcommands().next().is_none() || !command.is_subcommand_required_set()
}

/// The lines of the examples of a command, as they are typed.
fn lines(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let after = help.lines().skip_while(|line| !matches!(*line, "Example:" | "Examples:")).skip(1);
    after.take_while(|line| line.starts_with("  ")).map(str::to_owned).collect()
}

/// The command lines of the examples: those that a backslash continues are one.
fn examples(command: &Command) -> Vec<String> {
    let joined = lines(command).join("\n").replace("\\\n", " ");
    joined.lines().map(|line| line.trim().to_owned()).collect()
}

/// The words of `vettid` in a line, as a shell makes them, whatever it reads from or is piped to; none if it is not called.
fn words(line: &str) -> Vec<String> {
    let (mut programs, mut word, mut quote) = (vec![vec![]], None::<String>, None);
    for letter in line.chars() {
        match (letter, quote) {
            (_, Some(mark)) if letter == mark => quote = None,
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            ('|', None) => programs.push(vec![]),
            (' ', None) => programs.last_mut().unwrap().extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    assert!(quote.is_none(), "a quotation mark is missing: {line}");
    programs.last_mut().unwrap().extend(word);
    let is_vettid = |words: &Vec<String>| words.first().is_some_and(|program| program == "vettid");
    let words = programs.into_iter().find(is_vettid).unwrap_or_default();
    words.into_iter().take_while(|word| !matches!(word.as_str(), "<" | ">")).collect()
}

/// Parses a command line, words such as `ID` being whatever fits.
fn parse(line: &str) -> Result<ArgMatches, clap::Error> {
    let mut words = words(line);
    loop {
        let error = match tree().try_get_matches_from(&words) {
            Ok(matches) => return Ok(matches),
            Err(error) => error,
        };
        let Some((place, other)) = other_stand_in(&error, &words) else {
            return Err(error);
        };
        words[place] = other;
    }
}

/// What to try next and where, if the error is about a word that stands for something.
fn other_stand_in(error: &clap::Error, words: &[String]) -> Option<(usize, String)> {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidValue) else {
        return None;
    };
    let place = words.iter().position(|word| word == wrong).filter(|_| error.kind() == ErrorKind::ValueValidation)?;
    let stand_ins = stand_ins(place);
    let next = match stand_ins.iter().position(|known| known == wrong) {
        Some(tried) => tried + 1,
        None if wrong.chars().all(|letter| letter.is_ascii_uppercase()) => 0,
        None => return None,
    };
    Some((place, stand_ins.get(next)?.clone()))
}

/// The words of the command that a parsed line is for.
fn command_of(matches: &ArgMatches) -> String {
    let (mut path, mut below) = ("vettid".to_owned(), matches.subcommand());
    while let Some((name, matches)) = below {
        path = format!("{path} {name}");
        below = matches.subcommand();
    }
    path
}

#[test]
fn whatever_does_something_has_an_example() {
    let mut missing = Vec::new();
    for (path, command) in all() {
        let examples = examples(&command);
        let is_of_it = |line: &String| parse(line).is_ok_and(|matches| command_of(&matches) == path);
        if does_something(&command) && !examples.iter().any(is_of_it) {
            missing.push(path);
        }
    }
    assert!(missing.is_empty(), "without an example of their own: {missing:#?}");
}

#[test]
fn each_example_is_a_command_line() {
    let mut wrong = Vec::new();
    for (path, command) in all() {
        for example in examples(&command) {
            if words(&example).is_empty() {
                wrong.push(format!("{path}: {example}: not a line for vettid"));
            } else if let Err(error) = parse(&example) {
                wrong.push(format!("{path}: {example}: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_line_of_an_example_is_broken() {
    let mut broken = Vec::new();
    for (path, command) in all() {
        let long = lines(&command).into_iter().filter(|line| line.chars().count() > WIDTH);
        broken.extend(long.map(|line| format!("{path}: {line}")));
    }
    assert!(broken.is_empty(), "longer than {WIDTH}: {broken:#?}");
}

#[test]
fn every_change_of_a_contract_is_among_the_examples_of_edit() {
    let (_, edit) = all().into_iter().find(|(path, _)| path == "vettid gateway contract edit").unwrap();
    let shown: BTreeSet<_> = examples(&edit).iter().map(|line| command_of(&parse(line).unwrap())).collect();
    let there: BTreeSet<_> =
        edit.get_subcommands().map(|below| format!("vettid gateway contract edit {}", below.get_name())).collect();
    assert_eq!(shown, there);
}

#[test]
fn what_does_not_parse_is_found() {
    assert_eq!(words("echo 'a b' | vettid app \"x y\" < z | cat  # shows it"), ["vettid", "app", "x y"]);
    assert!(words("echo vettid").is_empty());
    assert!(
        parse("vettid app connection review ID").is_ok() && parse("vettid app request approve ID --terms HASH").is_ok()
    );
    for wrong in ["vettid app connection review ID --unheard", "vettid app connection review id", "vettid app unheard"]
    {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
