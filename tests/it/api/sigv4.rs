//! Signatures: AWS' own test vectors, and requests signed by a second implementation and then tampered with.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use longshore::api::server::ServerOptions;
use longshore::api::shape::{Protocol, Service};
use longshore::api::sigv4::credentials::Credentials;
use longshore::api::sigv4::{SignatureProblem, SignedRequest, Verifier};
use sha2::{Digest as _, Sha256};

use super::server::Served;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request as a client has it in hand.
#[derive(Clone)]
struct Sent {
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signs a `POST /` with all of its headers, as the IAM user guide describes it step by step.
fn signed(mut sent: Sent, key: &str, secret: &str, scope: &str) -> Sent {
    let mut headers = sent.headers.clone();
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut canonical = "POST\n/\n\n".to_owned();
    for (name, value) in &headers {
        writeln!(canonical, "{name}:{value}").expect("a text takes it");
    }
    write!(canonical, "\n{names}\n{}", hex(&Sha256::digest(sent.body))).expect("a text takes it");
    let date = headers.iter().find(|(name, _)| *name == "x-amz-date").map(|(_, date)| date.clone()).unwrap_or_default();
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mac = |key: &[u8], text: &str| {
        Hmac::<Sha256>::new_from_slice(key).expect("any key").chain_update(text).finalize().into_bytes().to_vec()
    };
    let key_of_scope = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    let signature = hex(&mac(&key_of_scope, &text));
    let value = format!("AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}");
    sent.headers.push(("authorization", value));
    sent
}

/// ListClusters at 12:36 of a day, as a client would send it.
fn list_clusters() -> Sent {
    Sent {
        headers: vec![
            ("host", "localhost:8080".into()),
            ("x-amz-date", "20150830T123600Z".into()),
            ("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListClusters".into()),
        ],
        body: "{}",
    }
}

const SCOPE: &str = "20150830/us-east-1/ecs/aws4_request";

fn verify(verifier: &Verifier, sent: &Sent, at: &str) -> Result<(), SignatureProblem> {
    let mut headers = HeaderMap::new();
    for (name, value) in &sent.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let request = SignedRequest { method: "POST", path: "/", query: "", headers: &headers, body: sent.body.as_bytes() };
    verifier.verify(&request, Some(Service::Ecs), at.parse().expect("a moment"))
}

/// At the moment of the signature, by somebody who has seen none before.
fn check(sent: &Sent) -> Result<(), SignatureProblem> {
    verify(&Verifier::new(Credentials::of_one(KEY, SECRET)), sent, "2015-08-30T12:36:00Z")
}

/// AWS' Signature Version 4 test suite: post-vanilla and post-x-www-form-urlencoded.
#[test]
fn vectors_of_aws() {
    let vector = |signed_headers: &str, signature: &str, headers: &[(&'static str, &str)], body: &'static str| {
        let mut headers: Vec<(&'static str, String)> =
            headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        headers.push((
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, SignedHeaders={signed_headers}, \
                 Signature={signature}"
            ),
        ));
        let mut map = HeaderMap::new();
        for (name, value) in &headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        let request = SignedRequest { method: "POST", path: "/", query: "", headers: &map, body: body.as_bytes() };
        let verifier = Verifier::new(Credentials::of_one(KEY, SECRET));
        verifier.verify(&request, None, "2015-08-30T12:36:00Z".parse().expect("a moment"))
    };
    let (host, date) = (("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z"));
    let vanilla = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
    assert_eq!(vector("host;x-amz-date", vanilla, &[host, date], ""), Ok(()));
    assert_eq!(vector("host;x-amz-date", vanilla, &[host, date], "x"), Err(SignatureProblem::Mismatch));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let urlencoded = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
    assert_eq!(vector("content-type;host;x-amz-date", urlencoded, &[form, host, date], "Param1=value1"), Ok(()));
}

/// What was signed is what is asked for: whatever is changed on the way is noticed.
#[test]
fn what_is_tampered_with() {
    let good = signed(list_clusters(), KEY, SECRET, SCOPE);
    assert_eq!(check(&good), Ok(()));
    assert_eq!(check(&Sent { body: "{ }", ..good.clone() }), Err(SignatureProblem::Mismatch));
    for index in 0..3 {
        let mut other = good.clone();
        other.headers[index].1 =
            other.headers[index].1.replace("00Z", "01Z").replace("List", "Delete").replace("8080", "1");
        assert_eq!(check(&other), Err(SignatureProblem::Mismatch), "{:?}", other.headers[index]);
    }
    let mut spaced = good.clone();
    spaced.headers[0].1 = "  localhost:8080 ".into();
    assert_eq!(check(&spaced), Ok(()), "space around a value says nothing");
    assert_eq!(check(&signed(list_clusters(), KEY, "another", SCOPE)), Err(SignatureProblem::Mismatch));
    assert_eq!(check(&signed(list_clusters(), "AKIDOTHER", SECRET, SCOPE)), Err(SignatureProblem::UnknownKey));
    let elsewhere = signed(list_clusters(), KEY, SECRET, "20150830/us-east-1/sts/aws4_request");
    assert!(matches!(check(&elsewhere), Err(SignatureProblem::WrongScope(_))));
    let yesterday = signed(list_clusters(), KEY, SECRET, "20150829/us-east-1/ecs/aws4_request");
    assert!(matches!(check(&yesterday), Err(SignatureProblem::WrongScope(_))));
}

/// What a signature lacks is named.
#[test]
fn what_is_missing() {
    assert_eq!(check(&list_clusters()), Err(SignatureProblem::Missing));
    for unsigned in ["host", "x-amz-target"] {
        let mut sent = list_clusters();
        let left_out = sent.headers.iter().position(|(name, _)| *name == unsigned).expect("it is there");
        let header = sent.headers.remove(left_out);
        let mut sent = signed(sent, KEY, SECRET, SCOPE);
        sent.headers.push(header);
        assert!(matches!(check(&sent), Err(SignatureProblem::Incomplete(why)) if why.contains(unsigned)), "{unsigned}");
    }
    for (from, to) in [
        ("AWS4-HMAC-SHA256", "Bearer"),
        ("Signature=", "Signature=zz"),
        ("Credential", "Credentials"),
        ("/aws4_request", ""),
        ("x-amz-target", "x-amz-other"),
    ] {
        let mut sent = signed(list_clusters(), KEY, SECRET, SCOPE);
        let authorization = &mut sent.headers.last_mut().expect("it is signed").1;
        *authorization = authorization.replace(from, to);
        assert!(matches!(check(&sent), Err(SignatureProblem::Incomplete(_))), "{from}");
    }
}

/// Five minutes either way, and once.
#[test]
fn old_early_and_replayed() {
    let sent = signed(list_clusters(), KEY, SECRET, SCOPE);
    let fresh = || Verifier::new(Credentials::of_one(KEY, SECRET));
    for at in ["2015-08-30T12:31:00Z", "2015-08-30T12:41:00Z"] {
        assert_eq!(verify(&fresh(), &sent, at), Ok(()), "{at}");
    }
    for (at, why) in [("2015-08-30T12:30:59Z", "not yet current"), ("2015-08-30T12:41:01Z", "expired")] {
        let problem = verify(&fresh(), &sent, at);
        assert!(matches!(&problem, Err(SignatureProblem::Time(text)) if text.contains(why)), "{at}: {problem:?}");
    }
    let verifier = fresh();
    assert_eq!(verify(&verifier, &sent, "2015-08-30T12:36:00Z"), Ok(()));
    assert_eq!(verify(&verifier, &sent, "2015-08-30T12:37:00Z"), Err(SignatureProblem::Replayed));
    // botocore signs no id: requests that are alike may follow each other within a second or so, each with its own.
    let verifier = fresh();
    let with_id = |id: &str| {
        let mut sent = sent.clone();
        sent.headers.push(("amz-sdk-invocation-id", id.to_owned()));
        sent
    };
    assert_eq!(verify(&verifier, &with_id("a"), "2015-08-30T12:36:00Z"), Ok(()));
    assert_eq!(verify(&verifier, &with_id("b"), "2015-08-30T12:36:01Z"), Ok(()));
    assert_eq!(verify(&verifier, &with_id("b"), "2015-08-30T12:36:01Z"), Err(SignatureProblem::Replayed));
    assert_eq!(verify(&verifier, &with_id("c"), "2015-08-30T12:36:03Z"), Err(SignatureProblem::Replayed));
}

/// Keys of a file, with and without session tokens; mistakes in it are named without showing it.
#[test]
fn keys_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.toml");
    let load = |text: &str| {
        std::fs::write(&file, text).expect("the folder is writable");
        Credentials::load(&file)
    };
    let keys = format!(
        "[[credentials]]\naccess_key_id = \"{KEY}\"\nsecret_access_key = \"{SECRET}\"\n\
         [[credentials]]\naccess_key_id = \"ASIATEMP\"\nsecret_access_key = \"s\"\nsession_token = \"token\"\n"
    );
    let verifier = Verifier::new(load(&keys).expect("it is in order"));
    let at = "2015-08-30T12:36:00Z";
    assert_eq!(verify(&verifier, &signed(list_clusters(), KEY, SECRET, SCOPE), at), Ok(()));
    let with_token = |token: &str| {
        let mut sent = list_clusters();
        sent.headers.push(("x-amz-security-token", token.into()));
        verify(&verifier, &signed(sent, "ASIATEMP", "s", SCOPE), at)
    };
    assert_eq!(with_token("other"), Err(SignatureProblem::WrongToken));
    assert_eq!(with_token("token"), Ok(()));
    let without = signed(list_clusters(), "ASIATEMP", "s", SCOPE);
    assert_eq!(verify(&verifier, &without, at), Err(SignatureProblem::WrongToken));

    for (text, expected) in [
        ("", "credentials"),
        ("[[credentials]]\naccess_key_id = \"a\"\nsecret_access_key = 7", "line 3"),
        ("[[credentials]]\naccess_key_id = \"a\"\nsecret_acces_key = \"hush\"", "secret_acces_key"),
        ("[[credentials]]\naccess_key_id = \"a\"\nsecret_access_key = \"\"", "empty"),
        (&[&*keys, &*keys].concat(), "given twice"),
    ] {
        let error = load(text).expect_err(text).to_string();
        assert!(error.contains(expected) && !error.contains("hush"), "{error}");
    }
    assert!(!format!("{:?}", load(&keys).expect("it is in order")).contains(SECRET));
}

/// Each protocol has its names for them.
#[test]
fn exceptions_of_each_protocol() {
    let names = |problem: SignatureProblem| {
        [Protocol::Json, Protocol::Query, Protocol::Ec2].map(|protocol| problem.error(protocol).exception)
    };
    assert_eq!(
        names(SignatureProblem::Missing),
        ["MissingAuthenticationTokenException", "MissingAuthenticationToken", "AuthFailure"]
    );
    assert_eq!(
        names(SignatureProblem::UnknownKey),
        ["UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure"]
    );
    assert_eq!(
        names(SignatureProblem::Mismatch),
        ["InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"]
    );
    assert_eq!(
        names(SignatureProblem::Time(String::new())),
        ["InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired"]
    );
}

/// A server with keys answers nobody without, in the form that each client reads.
#[test]
fn a_server_that_verifies() {
    let served = Served::of(ServerOptions {
        credentials: Some(Credentials::of_one(KEY, SECRET)),
        reset: longshore::api::server::ResetRequests::Allowed,
        ..ServerOptions::default()
    });
    let ask = |headers: &str, path: &str, body: &str| {
        served.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let unsigned = ask("x-amz-target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n", "/", "{}");
    assert_eq!((unsigned.status, unsigned.exception().0.as_str()), (403, "MissingAuthenticationTokenException"));
    let form = ask("", "/", "Action=GetCallerIdentity&Version=2011-06-15");
    assert!(form.status == 403 && form.body.contains("<Code>MissingAuthenticationToken</Code>"), "{form:?}");
    let ec2 = ask("", "/", "Action=DescribeInstances&Version=2016-11-15");
    assert!(ec2.status == 401 && ec2.body.contains("<Code>AuthFailure</Code>"), "{ec2:?}");
    assert_eq!(ask("", "/_longshore/reset", "").status, 403);
    assert_eq!(served.ask("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").status, 200);
}
