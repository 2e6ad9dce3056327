//! Style sheet and scripts, embedded in the binary. The path of a file contains part of its hash, so browsers may cache
//! the file without limit.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::Response;

use super::response_headers::{set_header, set_security_headers};

/// An embedded file.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: [Asset; 4] = [
    Asset { name: "console.css", media_type: CSS, bytes: include_bytes!("assets/console.css") },
    Asset { name: "console.js", media_type: SCRIPT, bytes: include_bytes!("assets/console.js") },
    // htmx 2.0.11, unchanged from its package; licence 0BSD.
    Asset { name: "htmx.min.js", media_type: SCRIPT, bytes: include_bytes!("assets/htmx-2.0.11.min.js") },
    Asset { name: "icon.svg", media_type: "image/svg+xml", bytes: include_bytes!("assets/icon.svg") },
];

/// The path of each file.
static ASSET_PATHS: LazyLock<[String; 4]> = LazyLock::new(|| {
    ASSETS.each_ref().map(|file| {
        let hash: String = Sha256::digest(file.bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("/assets/{hash}-{}", file.name)
    })
});

/// The path of a file. For an unknown name it is a path that answers 404; a test covers every name.
pub(super) fn asset_path(name: &str) -> &'static str {
    ASSET_PATHS.iter().zip(&ASSETS).find(|(_, file)| file.name == name).map_or("/assets/none", |(path, _)| path)
}

/// Handles `GET /assets/{name}`.
pub(super) fn handle(name: &str, headers: &HeaderMap) -> Response {
    let found = ASSET_PATHS.iter().zip(&ASSETS).find(|(path, _)| path.strip_prefix("/assets/") == Some(name));
    let Some((path, file)) = found else {
        let mut response = Response::new("There is no such file.\n".into());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let tag = format!("\"{path}\"");
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = Response::new(if is_known { Vec::new().into() } else { file.bytes.into() });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    set_security_headers(&mut response);
    set_header(&mut response, header::CONTENT_TYPE, file.media_type);
    set_header(&mut response, header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    set_header(&mut response, header::ETAG, &tag);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_its_path_and_htmx_is_unchanged() {
        for file in &ASSETS {
            let path = asset_path(file.name);
            assert!(path.ends_with(file.name), "{path}");
            assert_eq!(handle(&path["/assets/".len()..], &HeaderMap::new()).status(), 200);
        }
        assert_eq!(handle("none", &HeaderMap::new()).status(), 404);
        let htmx = ASSETS.iter().find(|file| file.name == "htmx.min.js").map(|file| Sha256::digest(file.bytes));
        let hex: String = htmx.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717");
    }
}
