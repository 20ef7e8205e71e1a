//! The step `deploy`: publishes one folder of the workspace as a site, named by the idea. It
//! doesn't look at the pages: the phase that built them has.

use gantry_sdk::{Deploy, Describe, Error, Job, Manifest, Plan, SelfTest, Site, clip, slug_from};
use serde::Deserialize;
use serde_json::Value;

const SETTINGS: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "root": {
      "type": "string",
      "minLength": 1,
      "default": "site",
      "description": "the workspace folder to publish"
    },
    "entry": {
      "type": "string",
      "minLength": 1,
      "default": "index.html",
      "description": "the page to open, below root"
    }
  }
}"#;

const TITLE_BYTES: usize = 200;
const SUMMARY_BYTES: usize = 1_000;
/// For the gallery, from the idea.
const METADATA: [&str; 3] = ["theme", "genre", "palette"];

/// The plugin.
pub struct StaticSite;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    root: String,
    entry: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            root: "site".to_owned(),
            entry: "index.html".to_owned(),
        }
    }
}

impl Describe for StaticSite {
    fn describe() -> Manifest {
        Manifest::new(
            "static-site",
            env!("CARGO_PKG_VERSION"),
            "Publishes a folder as a site",
        )
        .settings_schema(SETTINGS)
    }
}

impl Deploy for StaticSite {
    fn deploy(job: &Job) -> Result<Plan, Error> {
        let Settings { root, entry } = job.settings()?;
        // Every phase was accepted, and this step runs no agent that could mend it.
        job.stat(&format!("{root}/{entry}")).map_err(|error| {
            Error::invalid_job(format!(
                "nothing to publish: {error}; a phase before must write it"
            ))
        })?;
        // The idea only names the site: without a usable one the job's name does.
        let idea = job.read_json("idea.json").unwrap_or(Value::Null);
        let site = name(&idea, &job.name(), &root);
        Ok(Plan::site(site.entry(entry)))
    }
}

impl SelfTest for StaticSite {
    fn self_test() -> Result<(), String> {
        let site = name(
            &serde_json::json!({"title": "The Last Lamp!"}),
            "a job",
            "site",
        );
        if site.slug != "the-last-lamp" {
            return Err(format!(
                "\"The Last Lamp!\" became the slug {:?}",
                site.slug
            ));
        }
        Ok(())
    }
}

gantry_sdk::export!(StaticSite: deploy, self_test);

/// The site as the idea names it, or else the job.
fn name(idea: &Value, job: &str, root: &str) -> Site {
    let text = |key: &str| {
        idea[key]
            .as_str()
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    let title = text("title").unwrap_or(job);
    let slug = slug_from(title)
        .or_else(|| slug_from(job))
        .unwrap_or_else(|| "site".to_owned());
    let mut site = Site::new(slug, clip(title, TITLE_BYTES), root)
        .summary(clip(text("pitch").unwrap_or_default(), SUMMARY_BYTES));
    for key in METADATA {
        site = match &idea[key] {
            Value::String(text) => site.metadata(key, clip(text, SUMMARY_BYTES)),
            Value::Array(colors) => site.metadata(key, colors.iter().take(5).collect::<Vec<_>>()),
            _ => site,
        };
    }
    site
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::JobInMemory;

    const IDEA: &str = r##"{
        "title": "The Last Lamp", "pitch": "Keep it lit.", "theme": "lighthouses",
        "genre": "incremental", "palette": ["#000000", "#ffffff"], "tone": "calm"
    }"##;

    fn deploy(job: JobInMemory) -> Result<Site, Error> {
        let mut plan = StaticSite::deploy(&job.job())?;
        assert_eq!(plan.sites.len(), 1);
        Ok(plan.sites.remove(0))
    }

    fn job() -> JobInMemory {
        JobInMemory::new("Lighthouse keepers").file("site/index.html", "<p>")
    }

    #[test]
    fn the_idea_names_the_site() {
        let site = deploy(job().file("idea.json", IDEA)).unwrap();
        let expected = Site::new("the-last-lamp", "The Last Lamp", "site")
            .summary("Keep it lit.")
            .metadata("theme", "lighthouses")
            .metadata("genre", "incremental")
            .metadata("palette", ["#000000", "#ffffff"]);
        assert_eq!(site, expected);
        assert_eq!(StaticSite::self_test(), Ok(()));
    }

    #[test]
    fn without_a_usable_idea_the_job_does() {
        for idea in [
            "",
            "[]",
            r#"{"title": 5, "palette": {}}"#,
            r#"{"title": " "}"#,
        ] {
            let site = deploy(job().file("idea.json", idea)).unwrap();
            assert_eq!(
                (site.slug.as_str(), site.metadata),
                ("lighthouse-keepers", None),
                "{idea}"
            );
        }
        assert_eq!(deploy(job()).unwrap().title, "Lighthouse keepers");
    }

    #[test]
    fn a_title_without_letters_for_a_slug() {
        let site = deploy(job().file("idea.json", r#"{"title": "灯台"}"#)).unwrap();
        assert_eq!(
            (site.slug.as_str(), site.title.as_str()),
            ("lighthouse-keepers", "灯台")
        );
        let job = JobInMemory::new("灯台").file("site/index.html", "");
        assert_eq!(deploy(job).unwrap().slug, "site");
    }

    #[test]
    fn settings_say_what_is_published() {
        let settings = r#"{"root": "out/web", "entry": "play.html"}"#;
        let job = || JobInMemory::new("Fog").settings(settings);
        let site = deploy(job().file("out/web/play.html", "")).unwrap();
        assert_eq!(
            (site.root.as_str(), site.entry.as_str()),
            ("out/web", "play.html")
        );
        assert_eq!(
            deploy(job()),
            Err(Error::invalid_job(
                "nothing to publish: out/web/play.html is missing; a phase before must write it"
            ))
        );
        for root in ["../x", "/x", ""] {
            let settings = format!("{{\"root\": {root:?}}}");
            let error = deploy(JobInMemory::new("Fog").settings(&settings)).unwrap_err();
            assert!(matches!(error, Error::InvalidJob(_)), "{error}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let idea = serde_json::json!({"title": "x".repeat(5_000), "pitch": "y".repeat(5_000)});
        let site = deploy(job().file("idea.json", idea.to_string())).unwrap();
        assert!(site.title.len() <= TITLE_BYTES && site.summary.len() <= SUMMARY_BYTES);
        assert!(site.slug.len() <= 48);
    }
}
