//! The pages: plain documents, and the one script of the login page. Nothing is loaded from elsewhere, nothing runs that stands in
//! a page, no other site can show them in a frame, and every text of others is escaped.

use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::{Html, IntoResponse, Response};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

/// Width of a code in pixels.
const QR_PIXELS: u32 = 320;
/// What a page may do: show itself, its own style, and send forms to its own site.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The same for a page with a script: that of this very site, which talks to this very site. No text becomes markup by it.
const SCRIPT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What the script of a page is told.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Where it is; none for a page without a script.
    pub address: Option<String>,
    /// Names as in `data-name`, and texts.
    pub facts: Vec<(&'static str, String)>,
}

/// A page in the making. Its parts are markup that was made here; texts of others go through [`escape`].
#[derive(Debug)]
pub(super) struct Page {
    /// What it is about; a text.
    pub title: String,
    /// Its content; markup.
    pub content: String,
    /// Its script.
    pub script: Script,
    /// Without a script the page comes again by itself after so many seconds.
    pub again_seconds: Option<u32>,
    /// The status of the answer.
    pub status: StatusCode,
    /// Where its style is.
    pub style: String,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let (title, style) = (escape(&self.title), escape(&self.style));
        let again = self
            .again_seconds
            .map(|seconds| format!("<noscript><meta http-equiv=\"refresh\" content=\"{seconds}\"></noscript>\n"));
        let script = self.script.address.as_ref();
        let policy = if script.is_some() { SCRIPT_POLICY } else { POLICY };
        let script = script.map(|address| format!("<script src=\"{}\" defer></script>\n", escape(address)));
        let head = format!("{}{}", again.unwrap_or_default(), script.unwrap_or_default());
        let facts: String =
            self.script.facts.iter().map(|(name, text)| format!(" data-{name}=\"{}\"", escape(text))).collect();
        let content = &self.content;
        let text = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<link rel=\"stylesheet\" href=\"{style}\">\n{head}</head>\n\
             <body>\n<main{facts}>\n<h1>{title}</h1>\n{content}\n</main>\n</body>\n</html>\n"
        );
        let headers = [
            (CACHE_CONTROL, "no-store"),
            (CONTENT_SECURITY_POLICY, policy),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (self.status, headers, Html(text)).into_response()
    }
}

/// `GET /login.css`.
pub(super) async fn style() -> impl IntoResponse {
    const STYLE: &str = include_str!("login.css");
    let headers =
        [(CONTENT_TYPE, "text/css"), (CACHE_CONTROL, "public, max-age=3600"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, STYLE)
}

/// `GET /login.js`. Asked for anew each time, so that page and script fit together.
pub(super) async fn script() -> impl IntoResponse {
    const SCRIPT: &str = include_str!("login.js");
    let headers = [(CONTENT_TYPE, "text/javascript"), (CACHE_CONTROL, "no-cache"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, SCRIPT)
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
