//! Which check of a contract an event of a service failed: what the service is told, and how urgent it is for the member.
//! The service learns the code alone, never which value or which state led to it.

use serde::{Deserialize, Serialize};
use std::fmt;
use vettid_wire::feed::Severity;
use vettid_wire::refusal::RefusalCode;

/// The first check that failed. The order of the variants is the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// The event quotes another contract than the one in force.
    NotCurrent,
    /// The contract does not name it.
    NotDeclared,
    /// The contract names it as optional, and the member did not agree to it.
    NotAgreed,
    /// It is handed out once, and it was.
    Spent,
    /// The service wants to keep it longer than the contract allows.
    RetentionTooLong,
    /// The contract's rate or that of the field is used up.
    OverRate,
    /// As many messages as the contract allows came in the last hour.
    OverNotifications,
    /// The contract gives no permission for this act.
    NotPermitted,
    /// There is no room for it in what the contract lets the service store.
    OverQuota,
}

impl Breach {
    /// Every breach, in the order of the checks.
    pub const ALL: [Self; 9] = [
        Self::NotCurrent,
        Self::NotDeclared,
        Self::NotAgreed,
        Self::Spent,
        Self::RetentionTooLong,
        Self::OverRate,
        Self::OverNotifications,
        Self::NotPermitted,
        Self::OverQuota,
    ];

    /// What the service is told.
    #[must_use]
    pub fn code(self) -> RefusalCode {
        match self {
            Self::NotCurrent => RefusalCode::ContractMismatch,
            Self::NotDeclared | Self::NotAgreed | Self::NotPermitted => RefusalCode::NotInContract,
            Self::Spent => RefusalCode::Spent,
            Self::RetentionTooLong => RefusalCode::RetentionTooLong,
            Self::OverRate | Self::OverNotifications => RefusalCode::RateLimited,
            Self::OverQuota => RefusalCode::NoRoom,
        }
    }

    /// How urgent it is for the member. A sound service never asks for what its own contract does not name, nor to keep it
    /// longer; an outdated contract, a field that was not agreed to, a repetition, a full bucket or a full
    /// store may be an oversight.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::NotDeclared | Self::RetentionTooLong | Self::NotPermitted => Severity::Alarm,
            Self::NotAgreed | Self::Spent | Self::OverRate | Self::OverNotifications | Self::OverQuota => {
                Severity::Warning
            }
            Self::NotCurrent => Severity::Notice,
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCurrent => "contract_current",
            Self::NotDeclared => "declared",
            Self::NotAgreed => "tier",
            Self::Spent => "once",
            Self::RetentionTooLong => "retention",
            Self::OverRate => "rate",
            Self::OverNotifications => "notifications",
            Self::NotPermitted => "permission",
            Self::OverQuota => "quota",
        })
    }
}
