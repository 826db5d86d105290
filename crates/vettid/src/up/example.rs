//! The services that run with `vettid up`: the examples of the repository, each with a gateway of its own.

/// A service that shows what services do.
#[derive(Debug)]
pub(super) struct Example {
    /// Its folder in `examples/`, and that of its gateway.
    pub(super) name: &'static str,
    /// As members read it.
    pub(super) title: &'static str,
    /// Its site.
    pub(super) origin: &'static str,
    /// What it asks of its members.
    pub(super) contract: &'static str,
}

/// In the order in which they are shown.
pub(super) const EXAMPLES: [Example; 3] = [
    Example {
        name: "shop",
        title: "Demo Shop",
        origin: "https://shop.example",
        contract: include_str!("../../../../examples/shop/contract.json"),
    },
    Example {
        name: "bank",
        title: "Demo Bank",
        origin: "https://bank.example",
        contract: include_str!("../../../../examples/bank/contract.json"),
    },
    Example {
        name: "clinic",
        title: "Demo Clinic",
        origin: "https://clinic.example",
        contract: include_str!("../../../../examples/clinic/contract.json"),
    },
];
