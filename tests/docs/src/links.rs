//! Links between the pages: files that are there, headings that are in them.

use std::collections::BTreeSet;

use anyhow::Context as _;

use crate::{Page, root};

/// Every link that leads to no file or to no heading of it, as
/// `page:line: target`. Addresses of the web are not looked up.
///
/// # Errors
/// If a page that is linked to cannot be read.
pub fn dead_links(page: &Page) -> anyhow::Result<Vec<String>> {
    let mut dead = Vec::new();
    for (number, line) in page.prose() {
        for target in targets(line) {
            if !is_there(page, target)? {
                dead.push(format!("{}:{number}: {target}", page.path.display()));
            }
        }
    }
    Ok(dead)
}

/// What stands in `](...)`, also of pictures.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split(' ').next().unwrap_or(target))
}

fn is_there(page: &Page, target: &str) -> anyhow::Result<bool> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(true);
    }
    let (path, heading) = match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading)),
        None => (target, None),
    };
    let folder = page.path.parent().unwrap_or(&page.path);
    let path = if path.is_empty() {
        page.path.clone()
    } else {
        folder.join(path)
    };
    if !root().join(&path).exists() {
        return Ok(false);
    }
    let Some(heading) = heading else {
        return Ok(true);
    };
    let linked = Page::read(&path).with_context(|| format!("of the link {target}"))?;
    Ok(headings(&linked).contains(heading))
}

/// The names that a page's headings have in links, as GitHub and mdBook make them.
fn headings(page: &Page) -> BTreeSet<String> {
    page.prose()
        .filter_map(|(_, line)| line.strip_prefix('#'))
        .map(|rest| {
            let title = rest.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter_map(|letter| match letter {
                ' ' => Some('-'),
                '-' | '_' => Some(letter),
                letter => letter.is_alphanumeric().then_some(letter),
            });
            kept.collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages;

    #[test]
    fn every_link_leads_somewhere() {
        let pages = pages().expect("pages");
        let dead = pages.iter().map(|page| dead_links(page).expect("a page"));
        let dead: Vec<String> = dead.flatten().collect();
        assert!(dead.is_empty(), "{}", dead.join("\n"));
    }

    #[test]
    fn a_link_to_nothing_is_found_and_an_example_is_none() {
        let text = "[a](README.md) [b](no-such.md) ![c](docs/demo.png)\n```\n[d](neither.md)\n```\n\
            [e](https://example.com/x) [f](README.md#two-commands) [g](README.md#no-such) [h](#own)\n# Own\n";
        let page = Page {
            path: "README.md".into(),
            text: text.to_owned(),
        };
        // `#own` is looked for in the page on disk, which has no such heading.
        assert_eq!(
            dead_links(&page).expect("a page"),
            [
                "README.md:1: no-such.md",
                "README.md:5: README.md#no-such",
                "README.md:5: #own"
            ]
        );
    }

    #[test]
    fn the_book_has_every_page_of_its_folder() {
        let summary = Page::read("docs/SUMMARY.md").expect("the summary");
        let pages = pages().expect("pages").into_iter();
        let missing = pages.filter(|page| {
            let name = page.path.file_name().unwrap_or_default().to_string_lossy();
            page.path.starts_with("docs")
                && name != "SUMMARY.md"
                && !summary.text.contains(&format!("({name})"))
        });
        let missing: Vec<_> = missing.map(|page| page.path).collect();
        assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
    }
}
