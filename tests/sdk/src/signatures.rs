//! Signatures of the SDK, and what is said of wrong ones. The server verifies them, with the keys of the session.

use aws_sdk_ecs::error::ProvideErrorMetadata as _;

use crate::session::{ACCESS_KEY, SECRET_KEY, client};

pub async fn run(endpoint: &str) {
    let good = client(endpoint, ACCESS_KEY, SECRET_KEY);
    // Requests that are alike follow each other within a second: each is one of its own.
    for _ in 0..5 {
        good.list_clusters().send().await.expect("the signature is right");
    }
    for (access_key, secret_key, code) in
        [(ACCESS_KEY, "another", "InvalidSignatureException"), ("AKIDOTHER", SECRET_KEY, "UnrecognizedClientException")]
    {
        let refused = client(endpoint, access_key, secret_key).list_clusters().send().await;
        let refused = refused.expect_err("the signature is wrong");
        assert_eq!(refused.raw_response().map(|response| response.status().as_u16()), Some(403), "{refused:?}");
        assert_eq!(refused.code(), Some(code), "{refused:?}");
    }
}
