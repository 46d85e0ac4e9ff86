//! The users of this machine, as `/etc/passwd` has them.
//!
//! Asking the C library would ask its plug-ins, which a static program cannot
//! load: it crashes where a name is in no file. Users of a directory service are
//! named by their numbers.

use std::path::PathBuf;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// How people call it.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Its own folder.
    pub home: PathBuf,
}

impl Account {
    /// The user of this name; none where the file has none, or cannot be read.
    pub fn named(name: &str) -> Option<Self> {
        all().into_iter().find(|account| account.name == name)
    }

    /// The user of this number; none where the file has none, or cannot be read.
    pub fn numbered(uid: u32) -> Option<Self> {
        all().into_iter().find(|account| account.uid == uid)
    }
}

fn all() -> Vec<Account> {
    let text = std::fs::read("/etc/passwd").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(read).collect()
}

/// `name:password:uid:gid:comment:home:shell`; other lines are nobody's.
fn read(line: &str) -> Option<Account> {
    if line.starts_with('#') {
        return None;
    }
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, ..] = fields.as_slice() else {
        return None;
    };
    Some(Account {
        name: (*name).to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_user_or_nobody() {
        let nobody = read("nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin");
        let nobody = nobody.expect("a user");
        assert_eq!((nobody.uid, nobody.gid), (65534, 65533));
        assert_eq!(nobody.home, PathBuf::from("/nonexistent"));
        for line in [
            "",
            "# name:x:1:1::/:",
            "+::::::",
            "name:x:one:1::/:/bin/sh",
            "name:x:1:1",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn who_is_not_there_is_not_found() {
        assert_eq!(Account::named("no-such-user"), None);
        assert_eq!(Account::named("root").map(|root| root.uid), Some(0));
        assert_eq!(
            Account::numbered(0).map(|root| root.name),
            Some("root".to_owned())
        );
    }
}
