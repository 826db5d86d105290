//! `--help` of each command: what it is for, its options, examples.

use crate::Place;

const COMMANDS: [&str; 44] = [
    "",
    "app",
    "app enroll",
    "app profile",
    "app profile show",
    "app profile set",
    "app data",
    "app data set",
    "app data get",
    "app data list",
    "app data remove",
    "app connection",
    "app connection invite",
    "app connection accept",
    "app connection list",
    "app connection review",
    "app connection decide",
    "app connection verify",
    "app connection revoke",
    "app message",
    "app message send",
    "app message list",
    "app request",
    "app request list",
    "app request approve",
    "app request deny",
    "app feed",
    "app feed list",
    "app audit",
    "app audit export",
    "app lock",
    "app lock setup",
    "app lock after",
    "app lock status",
    "app unlock",
    "app status",
    "app watch",
    "services",
    "host",
    "gateway",
    "up",
    "audit",
    "audit verify",
    "version",
];

#[test]
fn help() {
    let place = Place::new();
    for command in COMMANDS {
        let (name, arguments) = match command {
            "" => ("vettid".to_owned(), "--help".to_owned()),
            "version" => ("version".to_owned(), "--version".to_owned()),
            command => (command.replace(' ', "_"), format!("{command} --help")),
        };
        insta::assert_snapshot!(name, place.run(&arguments, ""));
    }
}
