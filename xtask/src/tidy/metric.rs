//! The metrics of the tree: their names in the ratchet file and the ceilings that the style sets.

/// Something about the tree that has an allowed maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    /// Lines of the longest Rust file outside `tests` folders.
    FileLines,
    /// Lines of the longest function.
    FunctionLines,
    /// KiB of the largest file.
    FileKib,
    /// Rust files that do not say at their head what they are for.
    MissingHeads,
    /// `allow` in place of `expect` with a reason.
    AllowAttributes,
    /// Work that was left for later.
    Unfinished,
    /// Subjects spelled outside the file that spells and parses them.
    SpelledSubjects,
    /// Lines that end in blanks.
    TrailingBlanks,
    /// Paths of one machine, and registry hosts.
    Machine,
}

/// How observations become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The largest counts.
    Largest,
    /// Their number counts.
    Count,
}

impl Metric {
    /// All of them.
    pub(super) const ALL: [Self; 9] = [
        Self::FileLines,
        Self::FunctionLines,
        Self::FileKib,
        Self::MissingHeads,
        Self::AllowAttributes,
        Self::Unfinished,
        Self::SpelledSubjects,
        Self::TrailingBlanks,
        Self::Machine,
    ];

    /// Its name in the ratchet file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FileLines => "file_lines",
            Self::FunctionLines => "function_lines",
            Self::FileKib => "file_kib",
            Self::MissingHeads => "missing_heads",
            Self::AllowAttributes => "allow_attributes",
            Self::Unfinished => "unfinished",
            Self::SpelledSubjects => "spelled_subjects",
            Self::TrailingBlanks => "trailing_blanks",
            Self::Machine => "machine",
        }
    }

    /// The most that the ratchet file may allow.
    pub(super) fn ceiling(self) -> usize {
        match self {
            Self::FileLines => 600,
            Self::FunctionLines => 90,
            Self::FileKib => 512,
            _ => 0,
        }
    }

    /// How its observations become one number.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::FileLines | Self::FunctionLines | Self::FileKib => Kind::Largest,
            _ => Kind::Count,
        }
    }
}
