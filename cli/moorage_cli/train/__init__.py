"""``moorage train``: models and weights fitted offline, shipped as checked JSON documents."""
