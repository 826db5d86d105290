"""A small shop with "Log in with VettID": Flask and Authlib, and nothing that knows VettID."""

import os

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, render_template_string, session, url_for

app = Flask(__name__)
# Signs the cookie of this site; with more than one process, give all of them the same.
app.secret_key = os.environ.get("SHOP_SECRET") or os.urandom(32)

vettid = OAuth(app).register(
    "vettid",
    client_id=os.environ["VETTID_CLIENT_ID"],
    client_secret=os.environ["VETTID_CLIENT_SECRET"],
    server_metadata_url=os.environ["VETTID_ISSUER"] + "/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile email address", "code_challenge_method": "S256"},
)

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>A small shop</title></head>
<body>
<h1>A small shop</h1>
{% if reason %}<p role="alert">{{ reason }}</p>{% endif %}
{% if member %}
<p>Hello <b id="name">{{ member.name }}</b>.</p>
<p>We deliver to <b id="address">{{ member.address }}</b>.</p>
<form method="post" action="{{ url_for('logout') }}"><button>Log out</button></form>
{% else %}
<p><a href="{{ url_for('login') }}">Log in with VettID</a></p>
{% endif %}
</body>
</html>
"""


@app.get("/")
def home():
    return render_template_string(PAGE, member=session.get("member"))


@app.get("/login")
def login():
    return vettid.authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback():
    try:
        token = vettid.authorize_access_token()
    except OAuthError as error:
        return render_template_string(PAGE, reason=error.description or error.error), 403
    claims = vettid.userinfo(token=token)
    if claims["sub"] != token["userinfo"]["sub"]:
        return render_template_string(PAGE, reason="The provider speaks of two people."), 403
    address = ", ".join(str(part) for part in claims.get("address", {}).values())
    session["member"] = {"sub": claims["sub"], "name": claims.get("name"), "address": address}
    return redirect(url_for("home"))


@app.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("home"))


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")))
