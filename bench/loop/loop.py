"""What one would write in Python: decode with OpenCV, copy, encode, publish with paho.

loop.py FILE PORT FRAMES, as loop.c; python3-opencv and python3-paho-mqtt are Debian's.
"""
import json
import re
import sys
import time

import cv2
import numpy as np
import paho.mqtt.client as mqtt


def connect(port):
    try:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "loop-py")
    except AttributeError:  # paho 1
        client = mqtt.Client("loop-py")
    client.connect("127.0.0.1", port)
    client.loop_start()
    while not client.is_connected():
        time.sleep(0.01)
    return client


def main(path, port, frames):
    with open(path, "rb") as f:
        data = f.read()
    ends = [m.start() + 2 for m in re.finditer(rb"\xff\xd9(?=\xff\xd8)", data)] + [len(data)]
    pictures = [np.frombuffer(data[a:b], np.uint8) for a, b in zip([0] + ends, ends)]
    client = connect(int(port))
    frames = int(frames)
    cpu, wall = time.process_time(), time.monotonic()
    for i in range(frames):
        camera = cv2.imdecode(pictures[i % len(pictures)], cv2.IMREAD_COLOR)
        sharp = camera.copy()
        _, jpeg = cv2.imencode(".jpg", sharp, [cv2.IMWRITE_JPEG_QUALITY, 85])
        sent = client.publish("bench/python/frame", jpeg.tobytes())
    sent.wait_for_publish()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    print(json.dumps({"frames": frames, "cpu_ms": 1e3 * cpu / frames, "wall_ms": 1e3 * wall / frames}))


main(*sys.argv[1:])
