"""The lab's application on its servers: a program that deploys it, and playbooks that bring the program there."""
