//! What a PostgreSQL's SQLSTATE says of trying again, and of whose fault it is.

use stepfleet_activity::Class;

/// Whose fault an SQLSTATE is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The data's.
    File,
    /// Nobody says: the other files judge it.
    Suspect,
    /// The table's, a right's or the user's, whatever is loaded.
    Table,
    /// The server's, and it may be over later.
    Later,
}

impl Blame {
    /// By Appendix A of PostgreSQL's documentation.
    pub(crate) fn of(code: &str) -> Self {
        match code {
            // A statement, or its transaction (25P04), that took too long takes as
            // long again.
            "57014" | "25P04" => Self::Suspect,
            // Read-only: a failover. Idle for too long: we were.
            "25006" | "25P02" | "25P03" => Self::Later,
            // A lock that was not to be had, an object in use. The rest of 55 is of
            // sequences and the like, which a trigger may use.
            "55P03" | "55006" => Self::Later,
            // The database is gone.
            "57P04" => Self::Table,
            _ => Self::of_class(code.get(..2).unwrap_or_default()),
        }
    }

    fn of_class(class: &str) -> Self {
        match class {
            "22" | "23" | "44" => Self::File,
            // 58 is the system's: a disk. XX is the server's own fault, and may be
            // that of what it has read.
            "08" | "40" | "53" | "57" | "58" => Self::Later,
            // What is not there, not allowed, or not made for COPY.
            "0A" | "0L" | "0P" | "28" | "3D" | "3F" | "42" => Self::Table,
            _ => Self::Suspect,
        }
    }

    pub(crate) fn class(self) -> Class {
        match self {
            Self::Later => Class::Transient,
            Self::File | Self::Suspect | Self::Table => Class::Permanent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sqlstate_is_somebodys_fault() {
        let cases: [(Blame, &[&str]); 4] = [
            (
                Blame::File,
                &[
                    "22000", "22P02", "22P04", "22001", "22021", "23502", "23503", "23505",
                    "23514", "44000",
                ],
            ),
            (
                Blame::Suspect,
                &[
                    "57014", "25P04", "P0001", "54000", "54001", "38000", "39000", "2F005",
                    "27000", "21000", "24000", "55000", "XX000", "XX001", "0Z002", "09000", "",
                ],
            ),
            (
                Blame::Table,
                &[
                    "42501", "42P01", "42703", "42804", "42809", "42601", "3F000", "3D000",
                    "28000", "28P01", "0A000", "57P04", "0LP01",
                ],
            ),
            (
                Blame::Later,
                &[
                    "08000", "08006", "08P01", "40001", "40P01", "40003", "53000", "53100",
                    "53200", "53300", "53400", "57P01", "57P02", "57P03", "57P05", "55P03",
                    "55006", "25006", "25P03", "58030",
                ],
            ),
        ];
        for (blame, codes) in cases {
            for code in codes {
                assert_eq!(Blame::of(code), blame, "{code}");
                assert_eq!(blame.class() == Class::Transient, blame == Blame::Later);
            }
        }
    }
}
