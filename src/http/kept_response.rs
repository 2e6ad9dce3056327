//! Keeps a value until a response is sent, or its client is gone.

use futures_util::StreamExt;
use http_body_util::BodyDataStream;
use warp::Reply;
use warp::reply::Response;

/// The response, with a body that drops `kept` at its end.
pub(super) fn keep_until_sent(response: Response, kept: impl Send + Sync + 'static) -> Response {
    let (head, body) = response.into_parts();
    let pieces = BodyDataStream::new(body).inspect(move |_| {
        let _kept = &kept;
    });
    Response::from_parts(head, warp::reply::stream(pieces).into_response().into_body())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn the_value_is_dropped_at_the_end_of_the_body() {
        let pieces = ["one", "two"].map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
        let kept = Arc::new(());
        let response = warp::reply::stream(stream::iter(pieces)).into_response();
        let mut body = keep_until_sent(response, kept.clone()).into_body();
        for piece in ["one", "two"] {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
            assert_eq!(Arc::strong_count(&kept), 2);
        }
        assert!(body.frame().await.is_none());
        drop(body);
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
