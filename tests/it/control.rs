//! Control requests of the simulated account: only whoever read the token printed at the start can send them.

use reqwest::StatusCode;

use crate::support::{account, client};

#[tokio::test]
async fn control_requests_need_post_the_token_this_host_and_no_web_page() {
    // GIVEN a simulated account
    let sandbox = account(20).await;
    let before = sandbox.ids("brand");
    let (client, delete) = (client(), format!("{}/delete/brand?ids=1", sandbox.control()));

    // WHEN a request lacks one of the four THEN it is refused
    let guessed = format!("{}/sandbox/{}/delete/brand?ids=1", sandbox.root(), "0".repeat(32));
    let bare = format!("{}/sandbox/delete/brand?ids=1", sandbox.root());
    for (request, status) in [
        (client.get(&delete), StatusCode::METHOD_NOT_ALLOWED),
        (client.post(&delete).header("Origin", "https://example.com"), StatusCode::FORBIDDEN),
        (client.post(&delete).header("Host", "attacker.example"), StatusCode::FORBIDDEN),
        (client.post(&guessed), StatusCode::FORBIDDEN),
        (client.post(&bare), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    assert_eq!(sandbox.ids("brand"), before, "nothing was deleted");

    // WHEN it has all four THEN it is obeyed
    assert_eq!(client.post(&delete).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(sandbox.ids("brand").len(), before.len() - 1);
}

#[tokio::test]
async fn counts_clocks_and_bodies_of_control_requests_are_bounded() {
    // GIVEN a simulated account
    let sandbox = account(20).await;
    let (client, control) = (client(), sandbox.control());

    // WHEN a number or a body is beyond all reason THEN it is refused, and the account goes on serving
    for path in ["insert/order?count=18446744073709551615", "insert/order?count=-1", "age?seconds=9223372036854775807"]
    {
        let answer = client.post(format!("{control}/{path}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    let large = client.post(format!("{control}/settings")).body(vec![b' '; 2 << 20]).send().await.unwrap();
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let all = format!("{}/order-service/order/0-9223372036854775807", sandbox.url());
    let answer = client.get(all).header("brightpearl-app-ref", "acme_export");
    let answer = answer.header("brightpearl-staff-token", "sandbox-staff-token").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let log = client.post(format!("{control}/log")).send().await.unwrap();
    assert_eq!(log.status(), StatusCode::OK);
}
