//! Tables of what may be listed, and of what a list allows.

use super::*;
use crate::PipelineSpec;

fn reach(text: &str) -> Reach {
    text.parse().unwrap()
}

#[test]
fn what_can_be_listed_is_written_back_as_it_was() {
    for text in [
        "npm",
        "pypi",
        "example.com",
        "example.com:8443",
        "*.example.com",
        "*.a.example.com:80",
        "*.bbc.co.uk",
        "xn--mnchen-3ya.de",
        "a.b",
        "1and1.com",
    ] {
        assert_eq!(reach(text).to_string(), text);
    }
    assert_eq!(reach("example.com:443").to_string(), "example.com");
}

#[test]
fn what_cannot_be_listed_says_what_is_wrong() {
    let long = format!("{}.com", "a".repeat(64));
    for (text, said) in [
        ("", "neither a host name"),
        ("nmp", "nor a registry's word: alpine, crates, debian"),
        ("Example.com", "in lowercase"),
        ("münchen.de", "xn--"),
        ("https://example.com/a", "the name alone, `example.com`"),
        ("example.com/a", "has a path"),
        ("example.com.", "ends in a dot"),
        ("example..com", "isn't a host name"),
        ("-a.com", "isn't a host name"),
        ("a_b.com", "isn't a host name"),
        ("user@example.com", "isn't a host name"),
        ("a b.com", "isn't a host name"),
        ("a\0.com", "isn't a host name"),
        (&long, "isn't a host name"),
        ("example.com:", "isn't a number from 1 to 65535"),
        ("example.com:0", "isn't a number from 1 to 65535"),
        ("example.com:65536", "isn't a number from 1 to 65535"),
        ("example.com:+443", "isn't a number from 1 to 65535"),
        ("example.com:*", "isn't a number from 1 to 65535"),
        ("npm:443", "neither a host name"),
        ("*", "star in the wrong place"),
        ("a.*.com", "star in the wrong place"),
        ("*a.example.com", "star in the wrong place"),
        ("*.*.com", "star in the wrong place"),
        ("*.com", "is too wide"),
        ("*.co.uk", "is too wide"),
        ("*.com.au", "is too wide"),
        ("*.github.io", "is too wide"),
        ("*.pages.dev", "is too wide"),
        ("10.0.0.1", "is an address"),
        ("10.0.0.0/8", "is an address"),
        ("93.184.216.34:443", "is an address"),
        ("::1", "is an address"),
        ("[2606:2800::1]:443", "is an address"),
        ("127.1", "is an address"),
        ("a.0x7f", "is an address"),
        ("*.1.1", "is an address"),
        ("localhost", "a name of this machine"),
        ("a.localhost", "a name of this machine"),
        ("metadata.google.internal", "a name of this machine"),
        ("printer.local", "a name of this machine"),
    ] {
        let error = text.parse::<Reach>().unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
        assert!(!error.contains('\0'), "{error}");
    }
}

#[test]
fn an_entry_allows_its_names_at_its_port_and_no_others() {
    for (entry, name, port, allowed) in [
        ("example.com", "example.com", 443, true),
        ("example.com", "example.com", 80, false),
        ("example.com", "a.example.com", 443, false),
        ("example.com", "badexample.com", 443, false),
        ("example.com", "example.com.evil.org", 443, false),
        ("example.com:8443", "example.com", 8443, true),
        ("example.com:8443", "example.com", 443, false),
        ("*.example.com", "a.example.com", 443, true),
        ("*.example.com", "a.b.example.com", 443, true),
        ("*.example.com", "example.com", 443, false),
        ("*.example.com", ".example.com", 443, false),
        ("*.example.com", "badexample.com", 443, false),
        ("*.example.com", "a.example.com", 22, false),
        ("npm", "registry.npmjs.org", 443, true),
        ("npm", "registry.npmjs.org", 80, false),
        ("npm", "www.npmjs.com", 443, false),
        ("pypi", "files.pythonhosted.org", 443, true),
    ] {
        assert_eq!(
            reach(entry).allows(name, port),
            allowed,
            "{entry}: {name}:{port}"
        );
    }
}

#[test]
fn every_registrys_names_can_be_listed_by_themselves() {
    for registry in Registry::ALL {
        assert_eq!(registry.word().parse(), Ok(Reach::Registry(registry)));
        assert!(!registry.hosts().is_empty());
        for host in registry.hosts() {
            assert_eq!(reach(host), Reach::Host(HostRule::exactly(host)));
        }
    }
}

#[test]
fn a_cap_holds_what_goes_beyond_it() {
    let beyond = |cap: &str, list: &[&str]| {
        let cap: NetworkCap = cap.parse().unwrap();
        let network = Network::Names(list.iter().map(|entry| reach(entry)).collect());
        cap.beyond(&network).map(ToString::to_string)
    };
    for (cap, list, first) in [
        ("any", &["npm", "*.example.com"][..], None),
        ("none", &[], None),
        ("none", &["npm"], Some("npm")),
        ("npm, pypi", &["npm", "pypi"], None),
        ("npm pypi", &["npm", "crates"], Some("crates")),
        ("npm", &["registry.npmjs.org"], None),
        (
            "npm",
            &["registry.npmjs.org:80"],
            Some("registry.npmjs.org:80"),
        ),
        ("registry.npmjs.org", &["npm"], None),
        ("pypi.org", &["pypi"], Some("pypi")),
        (
            "*.example.com",
            &["a.example.com", "*.b.example.com", "*.example.com"],
            None,
        ),
        ("*.example.com", &["example.com"], Some("example.com")),
        ("a.example.com", &["*.example.com"], Some("*.example.com")),
    ] {
        assert_eq!(beyond(cap, list).as_deref(), first, "{cap}: {list:?}");
    }
    let cap: NetworkCap = "npm".parse().unwrap();
    assert!(cap.allows("registry.npmjs.org", 443) && !cap.allows("example.com", 443));
    assert!(NetworkCap::Any.allows("example.com", 443));
    let error = "npm, *.com".parse::<NetworkCap>().unwrap_err();
    assert!(error.contains("`*.com` is too wide"), "{error}");
}

fn with(network: &str) -> Result<PipelineSpec, String> {
    let text =
        format!("name = \"a\"\n[[phase]]\nid = \"p\"\nplugin = \"p\"\nnetwork = {network}\n");
    PipelineSpec::parse(&text).map_err(|error| error.to_string())
}

#[test]
fn a_pipeline_file_lists_names_and_a_job_keeps_them() {
    let spec = with("[\"npm\", \"*.example.com:8443\"]").unwrap();
    let kept = serde_json::to_value(&spec).unwrap();
    assert_eq!(
        kept["phase"][0]["network"],
        serde_json::json!(["npm", "*.example.com:8443"])
    );
    assert_eq!(serde_json::from_value::<PipelineSpec>(kept).unwrap(), spec);
    assert_eq!(spec.phases[0].network.entries().len(), 2);
}

#[test]
fn a_list_that_is_wrong_is_told_with_its_place() {
    let error = with("[\"npm\", \"*.com\"]").unwrap_err();
    assert!(error.contains("network = [\"npm\", \"*.com\"]"), "{error}");
    assert!(error.contains("`*.com` is too wide"), "{error}");
    let error = with("[\"npm\", \"npm\"]").unwrap_err();
    assert_eq!(error, "phase `p`: network: `npm` is there twice");
    let names: Vec<String> = (0..=MOST_ENTRIES)
        .map(|n| format!("\"a{n}.org\""))
        .collect();
    assert!(with(&format!("[{}]", names[1..].join(","))).is_ok());
    let error = with(&format!("[{}]", names.join(","))).unwrap_err();
    assert!(error.contains("at most 64 are allowed"), "{error}");
    for neither in ["5", "\"all\""] {
        let error = with(neither).unwrap_err();
        assert!(
            error.contains("must be \"none\" or a list of host names"),
            "{error}"
        );
    }
}
