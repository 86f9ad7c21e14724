@echo off
rem Double click on Windows: prepares jiyao once, then opens it. From a console: start.bat ARGUMENTS
rem ASCII only: cmd reads this file in whatever code page the computer has.
setlocal EnableExtensions DisableDelayedExpansion
chcp 65001 >nul 2>nul
set "PYTHONUTF8=1"
rem pushd, not cd: it also enters network folders
pushd "%~dp0" || goto failed

rem "python" may be the Microsoft Store's placeholder: only one that runs counts
for %%P in ("py -3" "python3" "python") do (
    %%~P -c "import sys" >nul 2>nul && set "FOUND=%%~P" && goto found
)
echo Python 3.10 or newer was not found. Install it from python.org, then start this again.
goto failed

:found
%FOUND% start.py %*
set "CODE=%ERRORLEVEL%"
popd
if "%CODE%"=="0" exit /b 0
if "%CODE%"=="130" exit /b 130
rem A double click runs "cmd /c": its window would close over the message.
echo "%CMDCMDLINE:"=%" | "%SystemRoot%\System32\find.exe" /i " /c " >nul && pause
exit /b %CODE%

:failed
pause
exit /b 1
