//! The gallery, as it is built into the binary. What it looks like is in `/gallery`.

use api::Asset;

macro_rules! asset {
    ($path:literal, $mime:literal) => {
        Asset {
            path: $path,
            mime: $mime,
            bytes: include_bytes!(concat!("../../gallery/", $path)),
        }
    };
}

const JS: &str = "text/javascript; charset=utf-8";

macro_rules! script {
    ($path:literal) => {
        Asset {
            path: $path,
            mime: JS,
            bytes: include_bytes!(concat!("../../gallery/", $path)),
        }
    };
}

/// Every file of the gallery; the first is the page itself.
pub(crate) const GALLERY: &[Asset] = &[
    asset!("index.html", "text/html; charset=utf-8"),
    asset!("app.css", "text/css; charset=utf-8"),
    asset!("favicon.svg", "image/svg+xml"),
    script!("app.js"),
    script!("api.js"),
    script!("changes.js"),
    script!("dom.js"),
    script!("format.js"),
    script!("live.js"),
    script!("parts.js"),
    script!("banner.js"),
    script!("signin.js"),
    script!("jobs.js"),
    script!("job.js"),
    script!("logs.js"),
    script!("typing.js"),
    script!("submit.js"),
    script!("sites.js"),
    script!("cover.js"),
    script!("plugins.js"),
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_of_the_gallery_is_built_in() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../gallery");
        let mut files: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut known: Vec<&str> = super::GALLERY.iter().map(|asset| asset.path).collect();
        files.sort();
        known.sort_unstable();
        assert_eq!(files, known);
    }
}
