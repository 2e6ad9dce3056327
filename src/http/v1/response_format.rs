//! The response format that `Accept` requests.

use warp::http::HeaderMap;

/// A response format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseFormat {
    /// One page, as JSON.
    JsonPage,
    /// Everything, one JSON object per line.
    NdJson,
    /// Everything, as CSV.
    Csv,
    /// New events, as server-sent events.
    EventStream,
}

impl ResponseFormat {
    /// The first requested format that the endpoint offers; a JSON page if there is no match.
    pub(super) fn negotiate(offered: &[ResponseFormat], headers: &HeaderMap) -> ResponseFormat {
        let accept = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
        let mut types =
            accept.flat_map(|value| value.split(',')).map(|item| item.split(';').next().unwrap_or("").trim());
        let requested =
            types.find_map(|media| ResponseFormat::from_media_type(media).filter(|format| offered.contains(format)));
        requested.unwrap_or(ResponseFormat::JsonPage)
    }

    fn from_media_type(media: &str) -> Option<ResponseFormat> {
        match media {
            "text/event-stream" => Some(ResponseFormat::EventStream),
            "application/x-ndjson" => Some(ResponseFormat::NdJson),
            "text/csv" => Some(ResponseFormat::Csv),
            "application/json" | "*/*" => Some(ResponseFormat::JsonPage),
            _ => None,
        }
    }
}
