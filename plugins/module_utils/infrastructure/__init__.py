# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The infrastructure of an environment: read what is there, plan what has to change, apply it.

``declared`` is what the options ask for, ``actual`` what the API tells. ``planner`` compares the two without asking
anybody and yields a ``plan``: steps, each of them one call, that ``apply`` carries out along their dependencies.
``run`` puts these together for the module.
"""
