//! The form in which an answer is wanted, as `Accept` says.

use warp::http::HeaderMap;

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseFormat {
    /// A page in JSON.
    JsonPage,
    /// Everything, a JSON object a line.
    NdJson,
    /// Everything, as CSV.
    Csv,
    /// What happens, as it happens.
    EventStream,
}

impl ResponseFormat {
    /// The first that is asked for among those that there are; a page if it is none of them.
    pub(super) fn negotiate(there_are: &[ResponseFormat], headers: &HeaderMap) -> ResponseFormat {
        let accept = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
        let mut types =
            accept.flat_map(|value| value.split(',')).map(|item| item.split(';').next().unwrap_or("").trim());
        let asked =
            types.find_map(|media| ResponseFormat::from_media_type(media).filter(|form| there_are.contains(form)));
        asked.unwrap_or(ResponseFormat::JsonPage)
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
