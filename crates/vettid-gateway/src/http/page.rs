//! The demo page: a fresh invitation as a QR code. Whoever opens it can connect once.

use super::failure::ApiFailure;
use crate::gateway::Gateway;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::response::{Html, IntoResponse};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

/// Width of the code in pixels.
const QR_PIXELS: u32 = 360;
/// Nothing is loaded from anywhere; only the style of the page itself counts.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`.
pub(super) async fn show(State(gateway): State<Gateway>) -> Result<impl IntoResponse, ApiFailure> {
    let invitation = gateway.invite_anybody().await.map_err(|_| ApiFailure::Unavailable)?;
    let code = qr_svg(&invitation.link).ok_or(ApiFailure::Unavailable)?;
    let minutes = (invitation.expires_at.since_ms(invitation.created_at) / 60_000).max(1);
    let page = render(gateway.name(), &gateway.contract().description, &code, &invitation.link, minutes);
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "no-referrer")];
    Ok((headers, Html(page)))
}

/// The text as a QR code; `None` if it is too long for one.
fn qr_svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let image = code.render::<svg::Color<'_>>().min_dimensions(QR_PIXELS, QR_PIXELS).build();
    // The picture stands inside the page, where a declaration of its own is not allowed.
    image.find("<svg").and_then(|start| image.get(start..)).map(str::to_owned)
}

fn render(name: &str, description: &str, code: &str, link: &str, minutes: i64) -> String {
    let (name, description, link) = (escape(name), escape(description), escape(link));
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.05rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem; text-align: center; }}
figure {{ margin: 2rem auto; background: #fff; padding: 1rem; border-radius: .75rem; width: fit-content; }}
figure svg {{ display: block; max-width: 100%; height: auto; }}
code {{ display: block; text-align: left; overflow-wrap: anywhere; font-size: .8rem; padding: .75rem; border: 1px solid; border-radius: .5rem; }}
</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p>{description}</p>
<figure role="img" aria-label="Invitation as a QR code">{code}</figure>
<p>Scan the code with your VettID app, or paste the link below into it. It can be used once, within {minutes} minutes.</p>
<details><summary>Show the link</summary><code>{link}</code></details>
</main>
</body>
</html>
"#
    )
}

fn escape(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_invitation_fits_a_code() {
        let link = "a".repeat(vettid_wire::handshake::MAX_TEXT_BYTES);
        assert!(qr_svg(&link).unwrap().starts_with("<svg"));
    }

    #[test]
    fn names_cannot_bring_markup() {
        let page = render("<b>\"Shop\" & 'Co'", "<script>", "<svg></svg>", "x#y", 10);
        assert!(page.contains("&lt;b&gt;&quot;Shop&quot; &amp; &#39;Co&#39;") && !page.contains("<script>"));
    }
}
