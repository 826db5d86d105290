//! `--help` of each command: what it is for, its options, examples.

use crate::Place;

const COMMANDS: [&str; 64] = [
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
    "app credential",
    "app credential create",
    "app credential status",
    "app credential give-up",
    "app password",
    "app password change",
    "app secret",
    "app secret add",
    "app secret list",
    "app secret show",
    "app secret sign",
    "app secret decrypt",
    "app secret rotate",
    "app secret remove",
    "app secret grant",
    "app secret import",
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
    "app recovery",
    "app recovery enable",
    "app recovery status",
    "app recovery restore",
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
