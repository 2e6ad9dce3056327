//! The form in which an answer is wanted, as `Accept` says.

use warp::http::HeaderMap;

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A page in JSON.
    Page,
    /// Everything, a JSON object a line.
    Lines,
    /// Everything, as CSV.
    Csv,
    /// What happens, as it happens.
    Live,
}

impl Form {
    /// The first that is asked for among those that there are; a page if it is none of them.
    pub(super) fn among(there_are: &[Form], headers: &HeaderMap) -> Form {
        let accept = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
        let mut types =
            accept.flat_map(|value| value.split(',')).map(|item| item.split(';').next().unwrap_or("").trim());
        let asked = types.find_map(|media| Form::of(media).filter(|form| there_are.contains(form)));
        asked.unwrap_or(Form::Page)
    }

    fn of(media: &str) -> Option<Form> {
        match media {
            "text/event-stream" => Some(Form::Live),
            "application/x-ndjson" => Some(Form::Lines),
            "text/csv" => Some(Form::Csv),
            "application/json" | "*/*" => Some(Form::Page),
            _ => None,
        }
    }
}
