# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A load balancer and its certificates: read what is there, plan what has to change, apply it.

``declared`` is what the options ask for, ``actual`` what the API tells, ``pem`` what a certificate says. ``planner``
compares them without asking anybody; the plan, the lock and carrying it out are those of ``infrastructure``. ``run``
puts these together for the module. ``certificates`` is for other modules that upload certificates, too.
"""
