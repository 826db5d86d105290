//! The pages: plain documents without scripts. Nothing is loaded from elsewhere, no other site can show them in a frame,
//! and every text of others is escaped.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, REFRESH, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

/// Width of a code in pixels.
const QR_PIXELS: u32 = 320;
/// What a page may do: show itself, its own style, and send forms to its own site.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page in the making. Its parts are markup that was made here; texts of others go through [`escape`].
#[derive(Debug)]
pub(super) struct Page {
    /// What it is about; a text.
    pub title: String,
    /// Its content; markup.
    pub content: String,
    /// The page comes again by itself after so many seconds.
    pub again_seconds: Option<u32>,
    /// The status of the answer.
    pub status: StatusCode,
    /// Where its style is.
    pub style: String,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let title = escape(&self.title);
        let (content, style) = (&self.content, escape(&self.style));
        let text = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<link rel=\"stylesheet\" href=\"{style}\">\n</head>\n\
             <body>\n<main>\n<h1>{title}</h1>\n{content}\n</main>\n</body>\n</html>\n"
        );
        let headers = [
            (CACHE_CONTROL, "no-store"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let mut response = (self.status, headers, Html(text)).into_response();
        if let Some(seconds) = self.again_seconds {
            response.headers_mut().insert(REFRESH, HeaderValue::from(seconds));
        }
        response
    }
}

/// `GET /login.css`.
pub(super) async fn style() -> impl IntoResponse {
    const STYLE: &str = include_str!("login.css");
    let headers =
        [(CONTENT_TYPE, "text/css"), (CACHE_CONTROL, "public, max-age=3600"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, STYLE)
}

/// A form with one button. Texts are escaped here.
pub(super) fn button(action: &str, form_key: &str, label: &str) -> String {
    let (action, form_key, label) = (escape(action), escape(form_key), escape(label));
    format!(
        "<form method=\"post\" action=\"{action}\"><input type=\"hidden\" name=\"form_key\" value=\"{form_key}\">\
         <button>{label}</button></form>"
    )
}

/// A text as a QR code; `None` if it is too long for one.
pub(super) fn qr_svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let image = code.render::<svg::Color<'_>>().min_dimensions(QR_PIXELS, QR_PIXELS).build();
    image.find("<svg").and_then(|start| image.get(start..)).map(str::to_owned)
}

/// A text of others, fit to stand in a page or between quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
