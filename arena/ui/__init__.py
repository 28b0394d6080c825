"""The web interface: the only place in `arena` that knows Gradio."""
