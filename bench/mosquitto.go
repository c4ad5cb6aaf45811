package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// startMosquitto starts a broker on a free loopback port and returns when it answers.
func startMosquitto(folder string) (broker *exec.Cmd, port int, err error) {
	if port, err = freePort(); err != nil {
		return nil, 0, err
	}
	settings := filepath.Join(folder, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\n", port)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return nil, 0, err
	}
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto" // not in every user's PATH
	}
	broker = exec.Command(program, "-c", settings)
	broker.Stderr = os.Stderr
	if err := broker.Start(); err != nil {
		return nil, 0, err
	}
	for range 100 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			return broker, port, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	broker.Process.Kill()
	return nil, 0, fmt.Errorf("%s does not listen on port %d", program, port)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// now is the wall clock in milliseconds since the program's start.
func now() float64 { return float64(time.Since(start).Microseconds()) / 1e3 }

var start = time.Now()
