"""The script that Streamlit runs for each tab, again after every click in its sidebar.

In:  the process's desk. Out: the page.
"""

# a worker that is started at the wrong moment takes this for its own main module (multiprocessing), by another name
if __name__ == "__main__":
    from jiyao.web.sidebar import draw

    draw()
