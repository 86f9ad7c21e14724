"""The web page: Streamlit's shell round one component, or the desk alone; served to this computer only.

In:  Settings. Out: a page on http://localhost:8501, until somebody ends it.

    launch     sockets, the note that tells a second start of the first, the browser
    look       what Streamlit is told: each option in code, none from a file
    app        all of it together, in the order that the seal wants
    running    the process's one desk, for the script below
    page       the script that Streamlit runs for each tab
    sidebar    what stands in its sidebar
    mount      the component that holds the desk
    static/    the desk itself: web components, served at /desk/
"""
