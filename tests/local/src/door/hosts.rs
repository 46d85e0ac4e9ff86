//! Which names we are called by, and which pages may call.
//!
//! A browser sends requests to this machine for any page that asks it to. Where
//! that page is of another origin it says so (`Origin`, `Sec-Fetch-Site`); where
//! a name was made to point here after the page was read (DNS rebinding), the
//! name is still in `Host`.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri, header};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// So many letters of a header are said again.
const SHOWN: usize = 100;

/// The names that we are called by, beside loopback's and the address that a
/// connection came in on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

// === impl Hosts ===

impl Hosts {
    /// These names or addresses, in any case; a name stands for those below it
    /// too, where S3 has its buckets.
    ///
    /// # Errors
    /// What is no name and no address.
    pub fn new(names: &[String]) -> Result<Self, String> {
        let mut known = Vec::with_capacity(names.len());
        for name in names {
            let found = bare(name).filter(|host| {
                !host.is_empty() && !name.contains(':') || host.parse::<IpAddr>().is_ok()
            });
            known.push(found.ok_or_else(|| {
                format!(
                    "found {name:?}; allowed is a name or an address, like host.docker.internal"
                )
            })?);
        }
        Ok(Self(known))
    }

    /// Another one, of a URL that was told to others.
    pub(crate) fn add(&mut self, host: &str) {
        self.0.extend(bare(host));
    }

    /// Lets a request in that came to the address `local`.
    ///
    /// # Errors
    /// What is wrong, and what is allowed, for the caller.
    pub(crate) fn admit(
        &self,
        (uri, headers): (&Uri, &HeaderMap),
        local: IpAddr,
    ) -> Result<(), String> {
        let host = self.host((uri, headers), local)?;
        if let Some(origin) = headers.get(header::ORIGIN) {
            let text = origin.to_str().unwrap_or_default();
            let same = text.strip_prefix("http://");
            if !same.is_some_and(|origin| is_same(origin, host)) {
                return Err(format!(
                    "Origin: found {}: pages of other origins may not call this port, \
                     allowed are none and \"http://{}\"",
                    cut(text),
                    host.get(..SHOWN).unwrap_or(host)
                ));
            }
        }
        if headers.get_all(header::ORIGIN).iter().count() > 1 {
            return Err("Origin: found several, allowed is one".to_owned());
        }
        for site in headers.get_all(FETCH_SITE) {
            if site != "same-origin" && site != "none" {
                return Err(format!(
                    "Sec-Fetch-Site: found {}: pages of other sites may not call this \
                     port; open it by its address",
                    cut(site.to_str().unwrap_or_default())
                ));
            }
        }
        Ok(())
    }

    /// The one host that a request names, if it is ours.
    fn host<'a>(
        &self,
        (uri, headers): (&'a Uri, &'a HeaderMap),
        local: IpAddr,
    ) -> Result<&'a str, String> {
        let mut named = headers.get_all(header::HOST).iter();
        let (first, second) = (named.next(), named.next());
        let said = first.and_then(|host| host.to_str().ok());
        let within = uri.authority().map(Authority::as_str);
        let (Some(host), None) = (said.or(within), second) else {
            let found = if second.is_some() { "several" } else { "none" };
            return Err(format!("Host: found {found}, allowed is one"));
        };
        for host in [Some(host), within].into_iter().flatten() {
            if !self.is_ours(host, local) {
                return Err(format!(
                    "Host: found {}: not a name of this port; allowed are localhost, loopback's \
                     addresses, {local}, what --advertise says and each --allow-host",
                    cut(host)
                ));
            }
        }
        Ok(host)
    }

    fn is_ours(&self, host: &str, local: IpAddr) -> bool {
        let Some(host) = bare(host) else {
            return false;
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback()
                || address == local.to_canonical()
                || self.0.contains(&address.to_string());
        }
        // No name server has a say in what `localhost` and what is below it are (RFC 6761).
        let known = self.0.iter().map(String::as_str).chain(["localhost"]);
        known.into_iter().any(|known| {
            let below = host.strip_suffix(known);
            below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
        })
    }
}

/// What is said of a header that somebody sent: it may be long.
fn cut(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    format!("{shown:?}")
}

/// A host without its port and without brackets, in small letters.
fn bare(host: &str) -> Option<String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    let authority = Authority::try_from(host).ok()?;
    let name = authority.host();
    // Whatever stands before an @ is no host.
    if authority.as_str().contains('@') {
        return None;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    match name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
    {
        Some(address) => Some(address.parse::<IpAddr>().ok()?.to_canonical().to_string()),
        None => Some(name.to_ascii_lowercase()),
    }
}

/// Whether both are the same host and port, where no port is 80.
fn is_same(origin: &str, host: &str) -> bool {
    let parts = |text: &str| {
        let authority = Authority::try_from(text).ok()?;
        let port = authority.port_u16().unwrap_or(80);
        Some((bare(text)?, port))
    };
    let (origin, host) = (parts(origin), parts(host));
    origin.is_some() && origin == host
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn asked(host: Option<&str>, more: &[(&str, &str)]) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        for (name, value) in more {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let hosts = ["Host.Docker.internal".to_owned(), "10.1.2.3".to_owned()];
        let hosts = Hosts::new(&hosts).unwrap();
        let uri = Uri::from_static("/");
        hosts.admit((&uri, &headers), "172.17.0.1".parse().unwrap())
    }

    #[test]
    fn we_are_called_by_our_own_names_alone() {
        let table = [
            (Some("127.0.0.1:4566"), true),
            (Some("127.8.0.1"), true),
            (Some("[::1]:4566"), true),
            (Some("localhost:4566"), true),
            (Some("LocalHost"), true),
            (Some("localhost."), true),
            (Some("bucket.localhost:4566"), true),
            (Some("bucket.s3.localhost:4566"), true),
            (Some("a.bucket.s3.eu-west-1.localhost"), true),
            (Some("172.17.0.1:9"), true),
            (Some("[::ffff:172.17.0.1]:9"), true),
            (Some("10.1.2.3:9"), true),
            (Some("host.docker.internal:4566"), true),
            (Some("bucket.s3.host.docker.internal"), true),
            (None, false),
            (Some(""), false),
            (Some("evil.example:4566"), false),
            (Some("127.0.0.1.evil.example"), false),
            (Some("localhost.evil.example"), false),
            (Some("evillocalhost"), false),
            (Some("evilhost.docker.internal"), false),
            (Some("localhost@evil.example"), false),
            (Some("evil.example@localhost"), false),
            (Some("0.0.0.0:4566"), false),
            (Some("[::]:4566"), false),
            (Some("10.1.2.4"), false),
            (Some("2130706433"), false),
            (Some("localhost:4566, evil.example"), false),
        ];
        for (host, ours) in table {
            let admitted = asked(host, &[]);
            assert_eq!(admitted.is_ok(), ours, "{host:?}: {admitted:?}");
            if let Err(said) = admitted {
                assert!(said.starts_with("Host: found"), "{said}");
            }
        }
        let twice = asked(Some("localhost"), &[("host", "evil.example")]);
        assert!(twice.unwrap_err().contains("several"));
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        let uri = Uri::from_static("http://evil.example/");
        let absolute = Hosts::default().admit((&uri, &headers), [127, 0, 0, 1].into());
        assert!(absolute.unwrap_err().contains("evil.example"));
    }

    #[test]
    fn pages_of_other_origins_call_nothing() {
        let table: [(&[(&str, &str)], bool); 14] = [
            (&[], true),
            (&[("origin", "http://localhost:4566")], true),
            (&[("origin", "http://LOCALHOST:4566")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("origin", "http://localhost")], false),
            (&[("origin", "http://localhost:3000")], false),
            (&[("origin", "https://localhost:4566")], false),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "http://127.0.0.1:4566")], false),
            (&[("origin", "null")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("origin", "http://localhost:4566"),
                    ("origin", "http://evil.example"),
                ],
                false,
            ),
        ];
        for (headers, admitted) in table {
            let found = asked(Some("localhost:4566"), headers);
            assert_eq!(found.is_ok(), admitted, "{headers:?}: {found:?}");
        }
        assert!(asked(Some("localhost"), &[("origin", "http://localhost:80")]).is_ok());
    }

    #[test]
    fn a_name_to_allow_is_a_name() {
        for good in ["a", "A.b", "10.0.0.1", "::1", "[::1]"] {
            assert!(Hosts::new(&[good.to_owned()]).is_ok(), "{good}");
        }
        for wrong in ["", "http://a", "a:1", "a/b", "a b", "u@a"] {
            let said = Hosts::new(&[wrong.to_owned()]).unwrap_err();
            assert!(said.contains("a name or an address"), "{said}");
        }
    }

    proptest! {
        /// Whatever stands there: no panic, and nobody else's name is ours.
        #[test]
        fn no_other_name_is_ours(host in "[ -~]{0,40}", tail in "[a-z]{2,5}") {
            let _ = asked(Some(&host), &[("origin", &host)]);
            let foreign = format!("{host}.{tail}");
            if tail != "localhost" {
                prop_assert!(asked(Some(&foreign), &[]).is_err() || foreign.ends_with(".internal"));
            }
        }
    }
}
