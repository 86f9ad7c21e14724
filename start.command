#!/bin/bash
# Double click on macOS: prepares jiyao once, then opens it. From a shell: ./start.command ARGUMENTS
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
export PYTHONUTF8=1

# the system's python3 may be older than 3.10, or only an offer to install developer tools
found=""
for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
        found=$python
        break
    fi
done
if [ -n "$found" ]; then
    "$found" start.py "$@"
    code=$?
else
    echo "Python 3.10 or newer was not found. Install it from python.org, then start this again." >&2
    echo "没有找到 Python 3.10 或更新的版本。请从 python.org 安装后再启动。" >&2
    code=1
fi

# the window would close over the message
if [ "$code" -ne 0 ] && [ "$code" -ne 130 ] && [ -t 0 ]; then
    printf '\nPress Return to close this window.  按回车键关闭窗口。'
    read -r
fi
exit "$code"
